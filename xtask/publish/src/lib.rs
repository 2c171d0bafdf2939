//! What brings the image to others, and what lets them check it: `cargo xtask push` and `cargo xtask verify`.

mod credentials;
mod difference;
mod found;
pub mod push;
mod registry;
pub mod verify;
