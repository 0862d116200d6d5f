//! Any row of messages to session, link, log, queue and cursor: nothing panics or goes on for
//! ever. The machine is the one of the tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/bounds/machine.rs"]
mod machine;

fuzz_target!(|script: &[u8]| machine::drive(script));
