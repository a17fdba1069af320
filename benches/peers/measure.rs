//! What one run of a command takes: time, processor, memory, and bytes read.
//!
//! A run counts only if it ended as it should: a tool that fails is not fast. The kernel counts the memory of this process in
//! that of a child until the child is another program, so this process stays small: nothing here holds a file for long.

use crate::support::python;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// One run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// From start to end.
    pub wall: Duration,
    /// On all processors, in the program and in the kernel for it.
    pub cpu: Duration,
    /// The most memory that it had at a time, in bytes.
    pub peak: u64,
    /// What it asked the kernel to read, in bytes, where the kernel says so.
    pub read: Option<u64>,
    /// What ormend says that it parsed, in bytes.
    pub parsed: Option<u64>,
}

/// Run `command` in `folder` and wait. `codes` are the exit statuses of a run that did its work.
pub fn run(command: &[String], folder: &Path, codes: &[i32]) -> Result<Run, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("no command".into()) };
    let said = said();
    let mut child = Command::new(program);
    child.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    child.stderr(File::create(&said).unwrap());
    child.env_remove("VIRTUAL_ENV").env("NO_COLOR", "1");
    let start = Instant::now();
    let mut child = child.spawn().map_err(|error| format!("{program}: {error}"))?;
    // The child has ended but is still known to the kernel, and with it what it read.
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .map_err(|error| format!("{program}: {error}"))?;
    let wall = start.elapsed();
    let read = read_by(child.id());
    let used = child.wait4().map_err(|error| format!("{program}: {error}"))?;
    let said = fs::read_to_string(&said).unwrap_or_default();
    match used.status.code() {
        Some(code) if codes.contains(&code) => {}
        _ => {
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            return Err(format!("{}: {last}", used.status));
        }
    }
    Ok(Run {
        wall,
        cpu: used.rusage.utime + used.rusage.stime,
        peak: used.rusage.maxrss,
        read,
        parsed: parsed(&said),
    })
}

/// The median of each number, and of the memory the most.
pub fn median(runs: &[Run]) -> Option<Run> {
    fn middle<T: Ord + Copy>(runs: &[Run], number: impl Fn(&Run) -> T) -> Option<T> {
        let mut numbers: Vec<T> = runs.iter().map(number).collect();
        numbers.sort();
        numbers.get(numbers.len() / 2).copied()
    }
    Some(Run {
        wall: middle(runs, |run| run.wall)?,
        cpu: middle(runs, |run| run.cpu)?,
        peak: runs.iter().map(|run| run.peak).max()?,
        read: middle(runs, |run| run.read)?,
        parsed: middle(runs, |run| run.parsed)?,
    })
}

/// The same work in several projects: one after the other.
pub fn sum(runs: &[Run]) -> Run {
    runs.iter().skip(1).fold(runs.first().copied().unwrap_or_default(), |sum, run| Run {
        wall: sum.wall + run.wall,
        cpu: sum.cpu + run.cpu,
        peak: sum.peak.max(run.peak),
        read: sum.read.zip(run.read).map(|(a, b)| a + b),
        parsed: sum.parsed.zip(run.parsed).map(|(a, b)| a + b),
    })
}

/// Where a child's standard error goes.
fn said() -> PathBuf {
    python::target("ormend-bench").join("stderr.txt")
}

/// What a process read, as Linux counts it.
fn read_by(process: u32) -> Option<u64> {
    let counted = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    counted.lines().find_map(|line| line.strip_prefix("rchar: ")?.trim().parse().ok())
}

/// The bytes of `info: parsed 12 files, 3456 bytes`.
fn parsed(said: &str) -> Option<u64> {
    said.lines().find_map(|line| {
        let (_, bytes) = line.split_once("parsed ")?.1.split_once(", ")?;
        bytes.strip_suffix(" bytes")?.parse().ok()
    })
}
