//! What a process is given before its task begins.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use mp_os::Error;
use nix::{
    libc,
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, setrlimit},
    unistd::{Pid, chdir, setpgid},
};
use serde::{Deserialize, Serialize};

use crate::{descriptors, identity::Birth, sys};

/// A resource that a process may use so much of: `RLIMIT_*` of `getrlimit(2)`.
///
/// See [`Builder::limit`](crate::Builder::limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of address space, `RLIMIT_AS`: an allocation beyond it fails.
    AddressSpace,
    /// Bytes of a core file, `RLIMIT_CORE`; zero for none.
    CoreFile,
    /// Seconds of processor time, `RLIMIT_CPU`: `SIGXCPU`, and `SIGKILL` a second later.
    CpuSeconds,
    /// Bytes of a file, `RLIMIT_FSIZE`: `SIGXFSZ` beyond it.
    FileSize,
    /// Open descriptors, `RLIMIT_NOFILE`.
    OpenFiles,
    /// Processes and threads of the user, `RLIMIT_NPROC`.
    Processes,
    /// Bytes of locked memory, `RLIMIT_MEMLOCK`.
    LockedMemory,
}

impl Limit {
    const fn resource(self) -> Resource {
        match self {
            Self::AddressSpace => Resource::RLIMIT_AS,
            Self::CoreFile => Resource::RLIMIT_CORE,
            Self::CpuSeconds => Resource::RLIMIT_CPU,
            Self::FileSize => Resource::RLIMIT_FSIZE,
            Self::OpenFiles => Resource::RLIMIT_NOFILE,
            Self::Processes => Resource::RLIMIT_NPROC,
            Self::LockedMemory => Resource::RLIMIT_MEMLOCK,
        }
    }
}

/// What is asked of the child, in its message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) directory: Option<OsString>,
    /// Set to a value, or removed; in order.
    pub(crate) variables: Vec<(OsString, Option<OsString>)>,
    pub(crate) limits: Vec<(Limit, u64)>,
    pub(crate) nice: Option<i32>,
    pub(crate) processors: Option<Vec<u32>>,
    pub(crate) group: Option<u32>,
    /// Directories of cgroups.
    pub(crate) cgroups: Vec<OsString>,
    /// What is to be shown as its command line.
    pub(crate) title: Option<OsString>,
    /// Whether all that descends from it ends with it.
    pub(crate) is_guarded: bool,
    /// Whether it runs on when its parent has ended.
    pub(crate) outlives: bool,
    pub(crate) birth: Birth,
    /// Which of standard input, output and error come as descriptors, in front of those of the argument.
    pub(crate) streams: [bool; 3],
}

impl Setup {
    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_guarded && self.outlives {
            let reason = "one that outlives its parent has nobody for whom to end its descendants";
            return Err(Error::invalid_input("guard", "process", reason));
        }
        if let Some(title) = self.title.as_ref().filter(|title| title.as_bytes().contains(&0)) {
            let object = format!("title `{}`", title.display());
            return Err(Error::invalid_input("show", object, "it has a NUL"));
        }
        self.check_variables()
    }

    /// Refuses variables that no environment can have.
    fn check_variables(&self) -> Result<(), Error> {
        let refuse = |name: &OsString, reason| {
            let object = format!("variable `{}`", name.display());
            Err(Error::invalid_input("set", object, reason))
        };
        for (name, value) in &self.variables {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return refuse(name, "a name is not empty and has no `=`");
            }
            let value = value.as_deref().unwrap_or_default();
            if [name, value].iter().any(|text| text.as_bytes().contains(&0)) {
                return refuse(name, "it has a NUL");
            }
        }
        Ok(())
    }

    /// Makes this process what was asked for; takes the streams from the front of `fds`.
    /// Those of its environment are set by `set_variable`.
    pub(crate) fn apply(
        &self,
        fds: &mut Vec<OwnedFd>,
        set_variable: fn(&OsStr, Option<&OsStr>),
    ) -> Result<(), Error> {
        let count = self.streams.iter().filter(|given| **given).count();
        let mut streams = fds.drain(..count.min(fds.len()));
        for (number, _) in self.streams.iter().enumerate().filter(|(_, given)| **given) {
            let cause = || io::Error::from_raw_os_error(libc::EBADF);
            let stream =
                streams.next().ok_or_else(|| Error::new("receive", "a stream", cause()))?;
            descriptors::replace_stream(number, stream.as_fd()).map_err(|error| {
                Error::new("replace", format!("standard stream {number}"), error)
            })?;
        }
        drop(streams);
        for cgroup in &self.cgroups {
            // Zero is whoever writes it.
            fs::write(Path::new(cgroup).join("cgroup.procs"), "0").map_err(|error| {
                Error::new("join", format!("cgroup `{}`", cgroup.display()), error)
            })?;
        }
        self.apply_limits()?;
        for (name, value) in &self.variables {
            set_variable(name, value.as_deref());
        }
        match &self.directory {
            Some(path) => chdir(path.as_os_str()).map_err(|errno| {
                Error::new("enter", format!("directory `{}`", path.display()), errno.into())
            }),
            None => Ok(()),
        }
    }

    fn apply_limits(&self) -> Result<(), Error> {
        if let Some(group) = self.group {
            setpgid(Pid::from_raw(0), Pid::from_raw(group.cast_signed())).map_err(|errno| {
                Error::new("join", format!("process group {group}"), errno.into())
            })?;
        }
        if let Some(processors) = &self.processors {
            let mut set = CpuSet::new();
            processors
                .iter()
                .try_for_each(|&number| set.set(number as usize))
                .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
                .map_err(|errno| {
                    Error::new("use", format!("processors {processors:?}"), errno.into())
                })?;
        }
        if let Some(nice) = self.nice {
            sys::set_nice(nice)
                .map_err(|error| Error::new("set", format!("nice value {nice}"), error))?;
        }
        self.limits.iter().try_for_each(|&(limit, value)| {
            setrlimit(limit.resource(), value, value).map_err(|errno| {
                Error::new("set", format!("limit {limit:?} to {value}"), errno.into())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_for_costs_a_few_bytes() {
        let mut bytes = Vec::new();
        crate::encode(&Setup::default(), &mut bytes).unwrap();
        assert_eq!(bytes, [0; 20]);
    }
}
