//! What a client does after a close.

use protocol::close::{CloseCode, Retry};
use serde_json::{Value, json};

pub(super) fn close() -> Vec<Value> {
    let standard = [
        1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015,
    ];
    let ranges = [
        3000, 3999, 4000, 4001, 4002, 4099, 4100, 4101, 4199, 4200, 4201, 4299, 4300, 4301, 4302,
        4303, 4304, 4399, 4400, 4999,
    ];
    let codes = standard.into_iter().chain(ranges).map(Some);
    [None].into_iter().chain(codes).map(row).collect()
}

fn row(code: Option<u16>) -> Value {
    let retry = match Retry::after(code) {
        Retry::Same => "same",
        Retry::Elsewhere => "elsewhere",
        Retry::Login => "login",
        Retry::Never => "never",
    };
    let ours = CloseCode::ALL
        .into_iter()
        .find(|ours| Some(ours.code()) == code);
    json!({"code": code, "retry": retry, "reason": ours.map(CloseCode::reason)})
}
