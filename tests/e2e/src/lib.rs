//! Container hosts, each in a sandbox, and what they must find to be true of the image.

pub mod archive;
pub mod busybox;
pub mod command;
pub mod debian;
pub mod golden;
pub mod host;
pub mod hosts;
pub mod images;
pub mod machine;
pub mod pause;
pub mod recipe;
pub mod sandbox;
pub mod visit;
