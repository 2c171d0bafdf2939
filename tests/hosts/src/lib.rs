//! Container hosts, each in a sandbox, and their checks of the image.

pub mod busybox;
pub mod cluster;
pub mod command;
pub mod debian;
pub mod host;
pub mod hosts;
pub mod images;
pub mod pause;
pub mod recipe;
pub mod sandbox;
