//! Cases of what ships: each platform's ELF file, and the OCI image.

mod elf;
mod layout;
mod rebuild;

use anyhow::Result;
use libtest_mimic::{Completion, Trial};
use xtask::test::Order;

pub fn trials(order: &Order) -> Vec<Trial> {
    let mut trials = if order.shipped { elf::trials(&order.programs) } else { Vec::new() };
    if let Some(directory) = &order.image {
        trials.extend(layout::trials(directory, &order.programs, order.bless));
        trials.push(rebuild::trial(directory, &order.programs));
    }
    trials
}

fn case(subject: &str, sentence: &str, run: impl FnOnce() -> Result<Completion> + Send + 'static) -> Trial {
    Trial::ignorable_test(sentence, || run().map_err(|error| format!("{error:#}").into())).with_kind(subject)
}
