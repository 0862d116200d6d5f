//! Text frames: what they parse to, or what is refused and why.

use protocol::control::{ClientMessage, ErrorMessage, ServerMessage};
use serde_json::{Value, json};

const CLIENT: &[(&str, &str)] = &[
    (
        "log in",
        r#"{"t":"hello","v":1,"token":"aaa.bbb.ccc","instance":"in_00000000000000ff","attempt":1}"#,
    ),
    (
        "resume",
        r#"{"t":"hello","v":1,"resume":"ddd.eee.fff","instance":"in_00000000000000ff","attempt":2,"client":"web/1","have":{"match":{"epoch":7,"offset":3},"room":{"epoch":4294967295,"offset":0}},"room":"ggg.hhh.iii"}"#,
    ),
    (
        "unknown fields are ignored",
        r#"{"t":"queue.join","mode":"race","colour":"red","more":{"deep":[1,2]}}"#,
    ),
    (
        "queue with regions and a party",
        r#"{"t":"queue.join","mode":"race","regions":{"eu":20,"us":110},"party":{"code":"wombat","size":3}}"#,
    ),
    (
        "queue with a version and attributes",
        r#"{"t":"queue.join","mode":"race","version":"1.4.2","attributes":{"input":"pad"}}"#,
    ),
    (
        "queue with roles",
        r#"{"t":"queue.join","mode":"raid","roles":["healer","tank"]}"#,
    ),
    (
        "queue with a receipt",
        r#"{"t":"queue.join","mode":"race","receipt":"jjj.kkk.lll"}"#,
    ),
    ("leave the queue", r#"{"t":"queue.leave"}"#),
    (
        "accept a match",
        r#"{"t":"match.accept","match":"mt_00000000000000bb"}"#,
    ),
    (
        "decline a match",
        r#"{"t":"match.decline","match":"mt_00000000000000bb"}"#,
    ),
    (
        "open a private room",
        r#"{"t":"private.open","mode":"race"}"#,
    ),
    (
        "enter a private room",
        r#"{"t":"private.join","code":"K7WM2QXP"}"#,
    ),
    (
        "be ready in a private room",
        r#"{"t":"private.ready","ready":true}"#,
    ),
    (
        "send somebody away",
        r#"{"t":"private.kick","player":"pl_00000000000000aa"}"#,
    ),
    ("begin a private match", r#"{"t":"private.start"}"#),
    ("leave a private room", r#"{"t":"private.leave"}"#),
    (
        "enter a room",
        r#" {"ticket":"ggg.hhh.iii","t":"room.join"} "#,
    ),
    ("leave the room", r#"{"t":"room.leave"}"#),
    (
        "say something to everyone",
        r#"{"t":"room.say","data":{"move":[3,4],"note":"hé"}}"#,
    ),
    (
        "say null to one seat",
        r#"{"t":"room.say","data":null,"to":2}"#,
    ),
    (
        "watch a room",
        r#"{"t":"room.watch","room":"rm_00000000000000aa","delay_ms":10000}"#,
    ),
    (
        "watch a room as soon as may be",
        r#"{"t":"room.watch","room":"rm_00000000000000aa","delay_ms":null}"#,
    ),
    ("watch no more", r#"{"t":"room.unwatch"}"#),
    ("list events", r#"{"t":"event.list"}"#),
    (
        "list events with what was seen",
        r#"{"t":"event.list","have":{"gala":1798826400000000}}"#,
    ),
    ("reserve a seat", r#"{"t":"event.reserve","event":"gala"}"#),
    ("confirm it", r#"{"t":"event.confirm","event":"gala"}"#),
    ("give it back", r#"{"t":"event.release","event":"gala"}"#),
    (
        "null is absent",
        r#"{"t":"hello","v":1,"token":null,"resume":"r","instance":"in_0000000000000001","attempt":1}"#,
    ),
    ("nothing", ""),
    ("no JSON", "hello"),
    ("no object", r#"["hello"]"#),
    ("cut short", r#"{"t":"queue.leave""#),
    ("two objects", r#"{"t":"queue.leave"}{"t":"queue.leave"}"#),
    ("no type", r#"{"mode":"race"}"#),
    ("type is no string", r#"{"t":1}"#),
    ("two types", r#"{"t":"queue.leave","t":"room.leave"}"#),
    ("unknown type", r#"{"t":"queue.jion","mode":"race"}"#),
    ("type of a server's message", r#"{"t":"welcome"}"#),
    ("field is missing", r#"{"t":"queue.join"}"#),
    ("field has the wrong type", r#"{"t":"queue.join","mode":7}"#),
    (
        "nested field is out of range",
        r#"{"t":"queue.join","mode":"race","party":{"code":"wombat","size":256}}"#,
    ),
    (
        "map's value has the wrong type",
        r#"{"t":"queue.join","mode":"race","regions":{"eu":"near"}}"#,
    ),
    ("seat of no event", r#"{"t":"event.reserve"}"#),
    (
        "version is negative",
        r#"{"t":"event.list","have":{"gala":-1}}"#,
    ),
    ("nothing is said", r#"{"t":"room.say","to":2}"#),
    (
        "seat is out of range",
        r#"{"t":"room.say","data":1,"to":65536}"#,
    ),
    (
        "half a surrogate pair is said",
        r#"{"t":"room.say","data":"\ud800"}"#,
    ),
    (
        "watch what is no room",
        r#"{"t":"room.watch","room":"mt_00000000000000aa"}"#,
    ),
    (
        "number is too large",
        r#"{"t":"hello","v":1,"token":"t","instance":"in_0000000000000001","attempt":4294967296}"#,
    ),
    (
        "number is no integer",
        r#"{"t":"hello","v":1.5,"token":"t","instance":"in_0000000000000001","attempt":1}"#,
    ),
    (
        "id of another kind",
        r#"{"t":"hello","v":1,"token":"t","instance":"pl_0000000000000001","attempt":1}"#,
    ),
    (
        "id with capitals",
        r#"{"t":"hello","v":1,"token":"t","instance":"in_00000000000000FF","attempt":1}"#,
    ),
    (
        "have names an unknown channel",
        r#"{"t":"hello","v":1,"token":"t","instance":"in_0000000000000001","attempt":1,"have":{"chat":{"epoch":1,"offset":1}}}"#,
    ),
    (
        "have without offset",
        r#"{"t":"hello","v":1,"token":"t","instance":"in_0000000000000001","attempt":1,"have":{"room":{"epoch":1}}}"#,
    ),
];

const SERVER: &[(&str, &str)] = &[
    (
        "welcome",
        r#"{"t":"welcome","v":1,"session":"se_0000000000000001","player":"pl_0000000000000002","name":"Ada","resume":"ddd.eee.fff","resumed":false,"node":"gateway-1","heartbeat_ms":25000,"active_heartbeat_ms":400,"deadline_ms":60000,"server_time_ms":1795000000000}"#,
    ),
    (
        "channel with state",
        r#"{"t":"channel","ch":"match","epoch":7,"offset":0,"recovered":false,"state":{"queue":null,"match":null}}"#,
    ),
    (
        "channel goes on",
        r#"{"t":"channel","ch":"room","epoch":4294967295,"offset":4294967295,"recovered":true}"#,
    ),
    (
        "channel lost",
        r#"{"t":"channel.lost","ch":"room","reason":"node_silent"}"#,
    ),
    (
        "channel closed",
        r#"{"t":"channel.closed","ch":"room","reason":"ended"}"#,
    ),
    (
        "queue state",
        r#"{"t":"queue.state","mode":"race","waiting_ms":1500,"size":4,"estimate_ms":6000}"#,
    ),
    (
        "queue state with a receipt",
        r#"{"t":"queue.state","mode":"race","waiting_ms":2500,"size":4,"receipt":"jjj.kkk.lll"}"#,
    ),
    (
        "private room",
        r#"{"t":"private.state","code":"K7WM2QXP","mode":"race","most":8,"members":[{"player":"pl_00000000000000aa","name":"Ada","ready":false}]}"#,
    ),
    (
        "queue state of a party",
        r#"{"t":"queue.state","mode":"race","waiting_ms":0,"size":1,"party":[1,3]}"#,
    ),
    (
        "events",
        r#"{"t":"event.list","events":[{"event":"gala","title":"Gala","opens_at_ms":1798826400000,"closes_at_ms":1798833600000,"seats":200,"free":12,"version":1798826400000000},{"event":"next","title":"Next","opens_at_ms":1,"closes_at_ms":2,"seats":1}],"server_time_ms":1798826401000}"#,
    ),
    (
        "event without a title",
        r#"{"t":"event.list","events":[{"event":"gala","opens_at_ms":1,"closes_at_ms":2,"seats":1}],"server_time_ms":1}"#,
    ),
    (
        "counts of an event",
        r#"{"t":"event.counts","event":"gala","version":1798826400000123,"seats":200,"free":0}"#,
    ),
    (
        "a seat for a moment",
        r#"{"t":"event.seat","event":"gala","state":"reserved","seat":7,"left_ms":5000}"#,
    ),
    (
        "no seat",
        r#"{"t":"event.seat","event":"gala","state":"none"}"#,
    ),
    (
        "a seat in no known state",
        r#"{"t":"event.seat","event":"gala","state":"sold"}"#,
    ),
    (
        "goaway",
        r#"{"t":"goaway","reason":"drain","within_ms":30000}"#,
    ),
    (
        "error",
        r#"{"t":"error","code":"rate_limited","message":"too many joins","re":"queue.join","retry_after_ms":250}"#,
    ),
    (
        "error with a field",
        r#"{"t":"error","code":"bad_field","message":"queue.join.mode: missing","re":"queue.join","field":"mode"}"#,
    ),
    (
        "unknown fields are ignored",
        r#"{"t":"goaway","reason":"drain","within_ms":1,"to":"gateway-2"}"#,
    ),
    ("type of a later server", r#"{"t":"weather","rain":true}"#),
    (
        "unknown channel",
        r#"{"t":"channel.lost","ch":"chat","reason":"node_gone"}"#,
    ),
    ("field is missing", r#"{"t":"goaway","reason":"drain"}"#),
    ("no object", "17"),
];

pub(super) fn client() -> Vec<Value> {
    let parse = |text: &str| ClientMessage::parse(text).map(|message| Some(message.to_text()));
    rows(CLIENT, parse)
}

pub(super) fn server() -> Vec<Value> {
    let parse = |text: &str| {
        let message = ServerMessage::parse(text)?;
        Ok(message.map(|message| message.to_text()))
    };
    rows(SERVER, parse)
}

/// A message as its sender would write it, `null` for one that is ignored, or the error.
fn rows(
    texts: &[(&str, &str)],
    parse: impl Fn(&str) -> Result<Option<String>, ErrorMessage>,
) -> Vec<Value> {
    texts
        .iter()
        .map(|(name, text)| match parse(text) {
            Ok(message) => {
                let message: Option<Value> =
                    message.map(|written| serde_json::from_str(&written).unwrap());
                json!({"name": name, "text": text, "message": message})
            }
            Err(error) => {
                let error = json!({"code": error.code, "field": error.field, "re": error.re});
                json!({"name": name, "text": text, "error": error})
            }
        })
        .collect()
}
