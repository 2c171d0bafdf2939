//! Who notices that a program is not the real one: the table of cases, up to the first that fails.

use behaviour::{CASES, Case, Skip};
use harness::{Program, Role};

/// The cases that catch most, and are quick to do so.
const FIRST: [&str; 8] = [
    "says so and exits with 0 on SIGTERM",
    "reaps a single orphan",
    "prints its name and version on -v and -V, wherever they stand",
    "says so and exits with 0 on SIGINT",
    "warns on stderr and carries on",
    "if started with every signal blocked",
    "if the pipe that is its stderr is full",
    "if exit fails once",
];

/// The cases that take long.
const LAST: [&str; 5] = [
    "sleeps and never wakes up",
    "dies from every other signal",
    "reaps a storm",
    "in the midst of a storm",
    "ignores every other argument of up to three bytes",
];

/// The first case that the program fails, and why.
pub struct Catch {
    pub case: String,
    pub reason: String,
}

/// Has the program judged.
pub fn judge(program: &Program) -> Option<Catch> {
    let place = |case: &Case| {
        let find = |names: &[&str]| names.iter().position(|name| case.name.contains(name));
        match (find(&FIRST), find(&LAST)) {
            (Some(place), _) => place,
            (None, None) => FIRST.len(),
            (None, Some(place)) => FIRST.len() + 1 + place,
        }
    };
    let mut runs: Vec<_> = CASES.iter().flat_map(|case| case.roles.iter().map(move |&role| (case, role))).collect();
    runs.sort_by_key(|(case, _)| place(case));
    runs.into_iter().find_map(|(case, role)| match (case.run)(program, role) {
        Err(error) if !error.is::<Skip>() => {
            let role = if role == Role::Init { "PID 1" } else { "another process" };
            Some(Catch { case: format!("as {role}, it {}", case.name), reason: format!("{error:#}") })
        }
        _ => None,
    })
}
