//! Any bytes as a binary frame: they are refused, or what is read writes back no longer.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::frame::Frame;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(frame) = Frame::decode(&bytes) {
        let written = frame.encode();
        assert!(written.len() <= bytes.len());
        assert_eq!(Frame::decode(&written.into()), Ok(frame));
    }
});
