//! The judge of all mutants: the conformance cases.

use conformance::{Case, Skip};
use harness::{Program, Role, wait};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Compiler or linker refuse it.
    Unviable,
    Caught,
    /// A case waits in vain.
    Timeout,
    /// It is explained why no case fails.
    Equivalent,
    Missed,
}

pub fn test(program: &Program, (case, role): (&Case, Role)) -> (Outcome, String) {
    let Err(error) = (case.run)(program, role).or_else(|error| if error.is::<Skip>() { Ok(()) } else { Err(error) })
    else {
        return (Outcome::Missed, String::new());
    };
    let role = if role == Role::Init { "as PID 1" } else { "not as PID 1" };
    let outcome = if wait::is_timeout(&error) { Outcome::Timeout } else { Outcome::Caught };
    (outcome, format!("{role}, it {}: {error:#}", case.name))
}
