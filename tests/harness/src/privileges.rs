//! What a process may do and see, taken away from it before it becomes the program.

use crate::Program;
use anyhow::{Context, Result, ensure};
use nix::libc;
use procfs::process::Process;
use std::ffi::{CString, c_int};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is taken away. All but the last takes root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privileges {
    /// Be this user and group, without any other group.
    pub user: Option<u32>,
    /// Have no capability, nor a way to get one.
    pub no_capabilities: bool,
    /// See a root of its own, which can't be written to and holds the program, its emulator where there is one, and
    /// nothing else: no /proc, no /dev.
    pub bare_root: bool,
    /// Never get more privileges, by executing a file that would give them.
    pub no_new_privileges: bool,
}

/// The most numbers of capabilities that a kernel can have.
const CAPABILITIES: c_int = 64;

/// The kernel's `__user_cap_header_struct`, with the version that has 64 capabilities, of this process.
const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// A folder that becomes a root.
pub(crate) struct Root {
    folder: TempDir,
    path: CString,
    /// Files, and where each is to be seen. A copy could not be executed while a process that another thread has just
    /// forked has it open.
    files: Vec<(CString, CString)>,
}

impl Root {
    /// A root for a program.
    pub fn of(program: &Program) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut files = Vec::new();
        for file in [Some(&program.file), program.emulator.as_ref()].into_iter().flatten() {
            let place = folder.path().join(Self::place(file)?.strip_prefix("/")?);
            fs::write(&place, [])?;
            files.push((c_path(file)?, c_path(&place)?));
        }
        // Anybody may be the user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        Ok(Self { path: c_path(folder.path())?, folder, files })
    }

    /// Where a file is in there.
    pub fn place(file: &Path) -> Result<PathBuf> {
        Ok(Path::new("/").join(file.file_name().context("a file has a name")?))
    }

    /// The folder, to be kept until the program has ended.
    pub fn keep(self) -> TempDir {
        self.folder
    }

    /// Makes it this process's root.
    ///
    /// # Safety
    /// Only in a process of its own, which has the privilege.
    unsafe fn enter(&self) -> bool {
        let (root, none) = (c"/".as_ptr(), std::ptr::null::<libc::c_char>());
        let mount = |from: *const _, to: *const _, flags| {
            // SAFETY: the kernel reads two paths.
            unsafe { libc::mount(from, to, none, flags, none.cast()) == 0 }
        };
        let path = self.path.as_ptr();
        let read_only = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
        // SAFETY: promised by the caller.
        unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && mount(none, root, libc::MS_REC | libc::MS_PRIVATE)
                && mount(path, path, libc::MS_BIND)
                && self.files.iter().all(|(file, place)| mount(file.as_ptr(), place.as_ptr(), libc::MS_BIND))
                && mount(none, path, read_only)
                && libc::chdir(path) == 0
                // The old root is mounted over the new one, and taken off.
                && libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0
                && libc::umount2(c".".as_ptr(), libc::MNT_DETACH) == 0
                && libc::chdir(root) == 0
        }
    }
}

fn c_path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

impl Privileges {
    /// Makes sure that a process is without them.
    ///
    /// # Errors
    /// Where it has one, or is gone.
    pub fn ensure_gone(&self, pid: i32) -> Result<()> {
        let status = Process::new(pid)?.status()?;
        let ids = [status.ruid, status.euid, status.suid, status.rgid, status.egid, status.sgid];
        let is_user = |user| ids == [user; 6] && status.groups.is_empty();
        ensure!(self.user.is_none_or(is_user), "its users and groups are {ids:?} and {:?}", status.groups);
        let capabilities =
            [Some(status.capeff), Some(status.capprm), Some(status.capinh), status.capbnd, status.capamb];
        let has_some = capabilities.iter().flatten().any(|&set| set != 0);
        ensure!(!(self.no_capabilities && has_some), "its capabilities are {capabilities:x?}");
        ensure!(!self.no_new_privileges || status.nonewprivs == Some(1), "it may get new privileges");
        if self.bare_root {
            let root = format!("/proc/{pid}/root");
            let entries =
                fs::read_dir(&root)?.map(|entry| Ok(entry?.file_type()?.is_file())).collect::<Result<Vec<_>>>()?;
            ensure!(entries.len() <= 2 && entries.iter().all(|&is_file| is_file), "its root has more than files");
            let is_writable = File::create(format!("{root}/new")).is_ok();
            ensure!(!is_writable, "its root can be written to");
        }
        Ok(())
    }

    /// Takes them away from this process. Returns whether that worked.
    ///
    /// # Safety
    /// Only in a process of its own: nothing but system calls, on memory that was prepared.
    pub(crate) unsafe fn drop(self, root: Option<&Root>) -> bool {
        // SAFETY: promised by the caller.
        unsafe {
            root.is_none_or(|root| root.enter())
                && (!self.no_capabilities || Self::give_up_bounds())
                && self.user.is_none_or(|user| Self::become_user(user))
                && (!self.no_capabilities || Self::give_up_capabilities())
                && (!self.no_new_privileges || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        }
    }

    unsafe fn give_up_bounds() -> bool {
        for capability in 0..CAPABILITIES {
            // SAFETY: this changes nothing but what the process may do. Numbers that the kernel does not have fail.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        }
        // SAFETY: likewise.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, 0, 0, 0, 0) == 0 }
    }

    unsafe fn give_up_capabilities() -> bool {
        // Effective, permitted and inheritable, twice 32 of them.
        let none = [0u32; 6];
        // SAFETY: the kernel reads the header and the sets.
        unsafe { libc::syscall(libc::SYS_capset, CAPABILITY_HEADER.as_ptr(), none.as_ptr()) == 0 }
    }

    unsafe fn become_user(user: u32) -> bool {
        // SAFETY: the C library's functions would ask all threads; these are for this one alone.
        unsafe {
            libc::syscall(libc::SYS_setgroups, 0, 0) == 0
                && libc::syscall(libc::SYS_setresgid, user, user, user) == 0
                && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
        }
    }
}
