//! Points at which a process can be told to die, for tests of what its death leaves behind.
//!
//! A program passes its points by name. Built with the feature `faults`, which tests alone turn on,
//! a process whose environment has `PIXELRUSH_FAULT=NAME:COUNT` kills itself (SIGKILL) as it passes
//! the point NAME for the COUNTth time. Without the feature passing a point is nothing at all.

/// The variable that names the point.
pub const VARIABLE: &str = "PIXELRUSH_FAULT";

/// A point between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point(pub &'static str);

impl Point {
    /// The process is here. It may not get further.
    #[inline]
    pub fn pass(self) {
        #[cfg(feature = "faults")]
        armed::pass(self.0);
    }
}

#[cfg(feature = "faults")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// Where this process dies.
    struct Fault {
        point: String,
        /// How often it still passes there.
        left: AtomicU64,
    }

    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

    pub(super) fn pass(point: &str) {
        let fault = FAULT.get_or_init(|| {
            let text = std::env::var(super::VARIABLE).ok()?;
            let fault = parse(&text);
            assert!(
                fault.is_some(),
                "{}={text} is not NAME:COUNT",
                super::VARIABLE
            );
            fault
        });
        let Some(fault) = fault.as_ref().filter(|fault| fault.point == point) else {
            return;
        };
        if fault.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        tracing::warn!(point, "this process was told to die here");
        // It cannot fail for a process of one's own. Nothing runs after it: the signal is taken
        // before the call comes back.
        let _ = kill_process(getpid(), Signal::KILL);
    }

    fn parse(text: &str) -> Option<Fault> {
        let (point, count) = text.rsplit_once(':')?;
        let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
        Some(Fault {
            point: point.to_owned(),
            left: AtomicU64::new(count),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fault_is_a_name_and_a_count() {
            let fault = parse("matcher.claim.after:3").expect("a fault");
            assert_eq!(fault.point, "matcher.claim.after");
            assert_eq!(fault.left.load(Ordering::Relaxed), 3);
            for text in ["", "matcher", "matcher:", "matcher:0", "matcher:-1"] {
                assert!(parse(text).is_none(), "{text}");
            }
        }
    }
}
