//! Privileges that a process gives up before it becomes the program.

use crate::Program;
use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::{chdir, pivot_root};
use procfs::process::Process;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Privileges to give up. All but the last take root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privileges {
    /// Be this user and group, without any other group.
    pub user: Option<u32>,
    /// Have no capability, nor a way to get one.
    pub no_capabilities: bool,
    /// Have a read-only root with the program, its emulator if there is one, and nothing else: no /proc, no /dev.
    pub bare_root: bool,
    /// Don't get privileges by executing a file.
    pub no_new_privileges: bool,
}

/// The kernel's `__user_cap_header_struct`, with the version that has 64 capabilities, for this process.
const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// A directory that becomes a root.
pub(crate) struct Root {
    directory: TempDir,
    /// Files, and where each is mounted: a copy can't be executed while a process just forked has it open for writing.
    files: Vec<(PathBuf, PathBuf)>,
}

impl Root {
    pub fn of(program: &Program) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut files = Vec::new();
        for file in [Some(&program.file), program.emulator.as_ref()].into_iter().flatten() {
            let target = directory.path().join(Self::path_inside(file)?.strip_prefix("/")?);
            fs::write(&target, [])?;
            files.push((file.clone(), target));
        }
        // The program may run as any user.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory, files })
    }

    pub fn path_inside(file: &Path) -> Result<PathBuf> {
        Ok(Path::new("/").join(file.file_name().context("a file has a name")?))
    }

    /// Makes it this process's root, by calls that need no memory.
    fn enter(&self) -> nix::Result<()> {
        let (here, root, path) = (Path::new("."), Path::new("/"), self.directory.path());
        let mount = |from: Option<&Path>, to: &Path, flags| mount(from, to, None::<&str>, flags, None::<&str>);
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None, root, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
        mount(Some(path), path, MsFlags::MS_BIND)?;
        self.files.iter().try_for_each(|(file, target)| mount(Some(file), target, MsFlags::MS_BIND))?;
        mount(None, path, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY)?;
        chdir(path)?;
        // Mounts the old root over the new one, and takes it off.
        pivot_root(here, here)?;
        umount2(here, MntFlags::MNT_DETACH)?;
        chdir(root)
    }
}

impl Privileges {
    /// Fails if a process has one of them.
    pub fn ensure_gone(&self, pid: i32) -> Result<()> {
        let status = Process::new(pid)?.status()?;
        let ids = [status.ruid, status.euid, status.suid, status.rgid, status.egid, status.sgid];
        let is_user = |user| ids == [user; 6] && status.groups.is_empty();
        ensure!(self.user.is_none_or(is_user), "its users and groups are {ids:?} and {:?}", status.groups);
        let sets = [Some(status.capeff), Some(status.capprm), Some(status.capinh), status.capbnd, status.capamb];
        let has_some = sets.iter().flatten().any(|&set| set != 0);
        ensure!(!(self.no_capabilities && has_some), "its capabilities are {sets:x?}");
        ensure!(!self.no_new_privileges || status.nonewprivs == Some(1), "it may get new privileges");
        if self.bare_root {
            let root = format!("/proc/{pid}/root");
            let entries =
                fs::read_dir(&root)?.map(|entry| Ok(entry?.file_type()?.is_file())).collect::<Result<Vec<_>>>()?;
            ensure!(entries.len() <= 2 && entries.iter().all(|&is_file| is_file), "its root has more than files");
            ensure!(File::create(format!("{root}/new")).is_err(), "its root can be written to");
        }
        Ok(())
    }

    /// Gives them up for this process, a new one.
    pub(crate) unsafe fn drop(self, root: Option<&Root>) -> nix::Result<()> {
        root.map_or(Ok(()), Root::enter)?;
        // SAFETY: Only system calls, on memory of this function. The C library's functions would change all threads.
        unsafe {
            if self.no_capabilities {
                // Numbers that the kernel doesn't have fail.
                (0..64).for_each(|capability| {
                    libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
                });
            }
            if let Some(user) = self.user {
                Errno::result(libc::syscall(libc::SYS_setgroups, 0, 0))?;
                Errno::result(libc::syscall(libc::SYS_setresgid, user, user, user))?;
                Errno::result(libc::syscall(libc::SYS_setresuid, user, user, user))?;
            }
            if self.no_capabilities {
                // Effective, permitted and inheritable, two words each.
                let none = [0_u32; 6];
                Errno::result(libc::syscall(libc::SYS_capset, CAPABILITY_HEADER.as_ptr(), none.as_ptr()))?;
            }
        }
        if self.no_new_privileges { set_no_new_privs() } else { Ok(()) }
    }
}
