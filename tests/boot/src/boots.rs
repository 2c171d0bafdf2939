//! The boots: which programs are tried on which kernels.

use crate::kernels::Kernel;
use std::fmt;
use xtask::platform::Platform;

/// A kernel, and whose program is tried on it.
#[derive(Clone, Copy)]
pub struct Boot {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The program's platform.
    pub platform: &'static Platform,
}

/// Every boot of these kernels and platforms, kernel by kernel.
pub fn of(kernels: impl IntoIterator<Item = &'static Kernel>, platforms: &[&'static Platform]) -> Vec<Boot> {
    let boots = kernels.into_iter().flat_map(|kernel| {
        let suited = platforms.iter().filter(|platform| kernel.platforms.contains(&platform.name));
        suited.map(move |&platform| Boot { kernel, platform })
    });
    boots.collect()
}

impl fmt::Display for Boot {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} on {}", self.platform.name, self.kernel.name)
    }
}
