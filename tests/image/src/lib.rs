//! Facts of what ships: of each platform's ELF file, and of the OCI image.

mod elf;
mod layout;
mod rebuild;

use libtest_mimic::{Completion, Failed, Trial};
use std::path::Path;
use xtask::test::Order;

/// Why nothing can be said of an image.
const NO_IMAGE: &str = "there is no image; `cargo xtask test` makes one";

/// Every fact, of every program and of the image.
pub fn trials(order: &Order) -> Vec<Trial> {
    let image = order.image.as_deref();
    let of_image = [layout::trials(order), rebuild::trials(image)];
    elf::trials(order).into_iter().chain(of_image.into_iter().flatten()).collect()
}

/// A fact about `subject`, which may turn out not to be seen here.
fn fact(subject: &str, sentence: &str, run: impl FnOnce() -> anyhow::Result<Completion> + Send + 'static) -> Trial {
    Trial::ignorable_test(sentence, || run().map_err(|error| Failed::from(format!("{error:#}")))).with_kind(subject)
}

/// A fact about a file of the image, or its folder, which is in this folder.
fn fact_of_image(
    image: Option<&Path>,
    name: &'static str,
    sentence: &str,
    run: impl FnOnce(&Path) -> anyhow::Result<Completion> + Send + 'static,
) -> Trial {
    let path = image.map(|folder| folder.join(name));
    fact(name, sentence, move || match path {
        Some(path) => run(&path),
        None => Ok(Completion::ignored_with(NO_IMAGE)),
    })
}
