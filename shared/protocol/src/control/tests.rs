use super::*;

fn refused(text: &str) -> ErrorMessage {
    ClientMessage::parse(text).expect_err(text)
}

#[test]
fn a_wrong_field_is_named() {
    let error = refused(r#"{"t":"queue.join","mode":7}"#);
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::BadField, Some("mode"))
    );
    let error = refused(r#"{"t":"queue.join"}"#);
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::BadField, Some("mode"))
    );
    let error = refused(r#"{"t":"queue.join","mode":"race","party":{"code":"abcd","size":-1}}"#);
    assert_eq!(error.field.as_deref(), Some("party.size"));
    assert_eq!(error.re.as_deref(), Some("queue.join"));
}

#[test]
fn an_unknown_type_is_named_and_the_known_ones_listed() {
    let error = refused(r#"{"t":"queue.jion"}"#);
    assert_eq!(error.code, ErrorCode::UnknownType);
    assert!(error.message.contains("queue.jion") && error.message.contains("queue.join"));
}

#[test]
fn what_is_no_object_is_refused() {
    for text in [
        "",
        "null",
        "[\"hello\"]",
        "{",
        "{\"t\":1}",
        "{\"v\":1}",
        "\u{0}",
    ] {
        assert_eq!(refused(text).code, ErrorCode::BadMessage, "{text:?}");
    }
}

#[test]
fn a_long_text_is_not_echoed_whole() {
    let error = refused(&format!(r#"{{"t":"{}"}}"#, "x".repeat(10_000)));
    assert!(error.message.len() < 600, "{}", error.message.len());
}

#[test]
fn unknown_fields_are_ignored() {
    let text = r#"{"t":"queue.join","mode":"race","colour":"red"}"#;
    let expected = QueueJoin {
        mode: "race".to_owned(),
        ..QueueJoin::default()
    };
    assert_eq!(
        ClientMessage::parse(text),
        Ok(ClientMessage::QueueJoin(expected))
    );
}

#[test]
fn a_client_ignores_types_of_later_servers() {
    assert!(ServerMessage::parse(r#"{"t":"weather","rain":true}"#).is_ok_and(|m| m.is_none()));
}

#[test]
fn every_message_reads_back() {
    let hello = ClientMessage::Hello(Hello {
        v: 1,
        token: Some("a.b.c".to_owned()),
        resume: None,
        instance: InstanceId(9),
        attempt: 2,
        client: "test/1".to_owned(),
        have: Have {
            matcher: Some(Position {
                epoch: Epoch(4),
                offset: Offset(2),
            }),
            room: None,
        },
        room: None,
    });
    assert_eq!(ClientMessage::parse(&hello.to_text()), Ok(hello));
    let state = RawValue::from_string(r#"{"seat":3}"#.to_owned()).unwrap();
    let attached = ServerMessage::Channel(ChannelAttached {
        ch: Channel::Room,
        epoch: Epoch(77),
        offset: Offset(3),
        recovered: false,
        state: Some(state),
    });
    let text = attached.to_text();
    let back = ServerMessage::parse(&text).unwrap().unwrap();
    assert_eq!(back.to_text(), text);
}
