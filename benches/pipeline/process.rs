//! What Linux says of a process.

use std::time::Duration;

/// Ticks of the kernel's accounting per second: `USER_HZ`, which is 100 on every Linux that people run.
const TICKS: u64 = 100;

/// Processor time of all its threads so far, user and system, in steps of 10 ms.
pub fn cpu(id: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// The most memory that it ever had, in bytes.
pub fn peak_memory(id: u32) -> Option<u64> {
    kibibytes(id, "VmHWM:")
}

/// The memory that it has now, in bytes.
pub fn memory(id: u32) -> Option<u64> {
    kibibytes(id, "VmRSS:")
}

fn kibibytes(id: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
