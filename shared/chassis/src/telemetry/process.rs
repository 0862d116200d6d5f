//! What the process itself costs, read from Linux' `/proc` at the moment that somebody asks. On
//! another system these lines are absent.

use std::fmt::Write;
use std::fs;

/// The kernel counts CPU time for user space in hundredths of a second on every architecture
/// that this runs on (`USER_HZ`), whatever its own tick is.
const USER_HZ: f64 = 100.0;

/// Appends the metrics in Prometheus' text format, under the names that its own client libraries
/// use. They are written by hand because the recorder's counters hold whole numbers only.
pub(super) fn render(started_ms: u64, text: &mut String) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let lines = [
        (
            "process_resident_memory_bytes",
            "gauge",
            status_number(&status, "VmRSS:").map(|kib| kib * 1024.0),
        ),
        (
            "process_threads",
            "gauge",
            status_number(&status, "Threads:"),
        ),
        ("process_cpu_seconds_total", "counter", cpu_seconds(&stat)),
        ("process_open_fds", "gauge", open_files()),
        ("process_max_fds", "gauge", most_files(&limits)),
        (
            "process_start_time_seconds",
            "gauge",
            Some(started_ms as f64 / 1000.0),
        ),
    ];
    for (name, kind, value) in lines {
        if let Some(value) = value {
            let written = write!(text, "# TYPE {name} {kind}\n{name} {value}\n\n");
            debug_assert!(written.is_ok(), "a String takes every write");
        }
    }
}

fn status_number(status: &str, label: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name in brackets, which may hold spaces and brackets.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / USER_HZ)
}

fn open_files() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the handle that reads the folder.
    Some(count.saturating_sub(1) as f64)
}

fn most_files(limits: &str) -> Option<f64> {
    let rest = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 9 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_time_and_files_of_this_process_are_shown() {
        let mut text = String::new();
        render(1500, &mut text);
        for name in [
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
        ] {
            let line = text.lines().find(|line| line.starts_with(name));
            assert!(line.is_some(), "{name} in\n{text}");
        }
        assert!(text.contains("process_start_time_seconds 1.5\n"));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(status_number("", "VmRSS:"), None);
        assert_eq!(most_files("Max open files unlimited"), None);
    }
}
