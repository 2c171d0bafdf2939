//! The model of the program's signals, `signals.pml`. SPIN must find that each property in `signals.txt` holds or
//! fails, as the table has it.

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};
use xtask::prerequisites::Prerequisites;
use xtask::table::Table;

const MODEL: &str = "tests/prove/signals.pml";
const RESULTS: &str = "tests/prove/signals.txt";

/// Requires the programs that check the model.
pub fn add_needs(prerequisites: &mut Prerequisites) {
    ["spin", "gcc"].iter().for_each(|program| prerequisites.file(program, program, "check the model of the signals"));
}

/// Checks the model. Returns the number of rows of the table.
pub fn check(shell: &Shell) -> Result<usize> {
    let model = shell.current_dir().join(MODEL);
    let table = Table::read(&shell.current_dir().join(RESULTS))?;
    let text = shell.read_file(&model)?;
    for property in text.lines().filter_map(|line| line.strip_prefix("ltl ")?.split(' ').next()) {
        ensure!(table.rows.iter().any(|row| row[1] == property), "{RESULTS} doesn't have {property} of {MODEL}");
    }
    for rows in table.rows.chunk_by(|row, next| row[0] == next[0]) {
        // SPIN and its checker write into the current directory.
        let directory = shell.create_temp_dir()?;
        let _inside = shell.push_dir(directory.path());
        let definition = &rows[0][0];
        cmd!(shell, "spin -DFAULT={definition} -a {model}").quiet().ignore_stdout().run()?;
        // NFAIR is for weak fairness with more than six processes.
        cmd!(shell, "gcc -w -DNFAIR=3 -o pan pan.c").quiet().run()?;
        for row in rows {
            let (property, wanted, meaning) = (&row[1], &row[2], &row[3]);
            let output = cmd!(shell, "./pan -a -f -N {property}").quiet().read()?;
            let found = result(&output, property).with_context(|| format!("no result for {property}:\n{output}"))?;
            ensure!(found == wanted, "with {definition}, {property} {found}, unlike in {RESULTS} ({meaning})");
        }
    }
    Ok(table.rows.len())
}

/// Returns whether the property holds or fails. A search that was cut short has no result, unless it found a failure.
fn result(output: &str, property: &str) -> Option<&'static str> {
    let has = |text: &str| output.contains(text);
    let is_checked = has(&format!("\t+ ({property})\n")) && has("\t+ (fairness enabled)\n");
    let is_complete = !has("Search not completed") && !has("max search depth too small");
    let is_violated = has("\npan:1: assertion violated") || has("\npan:1: acceptance cycle");
    match (has("errors: 0\n"), has("errors: 1\n")) {
        (true, false) if is_checked && is_complete => Some("holds"),
        (false, true) if is_checked && is_violated => Some("fails"),
        _ => None,
    }
}
