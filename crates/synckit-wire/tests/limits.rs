//! One test for each limit, and for what happens to one bad event among good ones.

use synckit_core::{
    Caller, Cursor, Data, Dot, Error, ErrorKind, Event, HelloRequest, MissingRequest, NewEvent, NodeId,
    PullRequest, PullResponse, PushResponse, RefusalCode, Refused, StoreId, Timestamp, VectorClock,
};
use synckit_wire::{Decode, Encode, ReceivedPush, WireLimits};

fn store() -> StoreId {
    StoreId::from_bytes([7; 16])
}

fn event(counter: u64, data: &str) -> Event {
    let node = NodeId::new("a").expect("valid");
    let new = NewEvent::with_data("T", "x", Data::json(data).expect("valid")).expect("valid");
    Event {
        id: format!("e-{counter}").parse().expect("valid"),
        event_type: new.event_type,
        aggregate_id: new.aggregate_id,
        data: new.data,
        metadata: new.metadata,
        dot: Some(Dot::new(node.clone(), counter)),
        clock: VectorClock::from_entries([(node, counter)]).expect("valid"),
        time: Timestamp::from_millis(counter),
    }
}

fn text(counter: u64, data: &str) -> String {
    serde_json::to_string(&event(counter, data)).expect("encodes")
}

fn push(events: &[String], rest: &str) -> Vec<u8> {
    let caller = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
    format!(r#"{{"caller":{caller},"filter":"all","events":[{}]{rest}}}"#, events.join(",")).into_bytes()
}

fn page(events: &[String]) -> Vec<u8> {
    format!(r#"{{"events":[{}],"next":"{}","more":false}}"#, events.join(","), Cursor::start(store()))
        .into_bytes()
}

fn limits() -> WireLimits {
    WireLimits::default()
}

/// Ten good events with a bad one in the middle.
fn eleven(bad: String) -> Vec<String> {
    let mut events: Vec<String> = (1..=10).map(|counter| text(counter, "1")).collect();
    events.insert(5, bad);
    events
}

fn the_refused(bad: String) -> Refused {
    let upto = format!(r#","upto":"{}""#, Cursor::start(store()));
    let received = ReceivedPush::from_json(&push(&eleven(bad), &upto), &limits()).expect("decodes");
    assert_eq!(received.request.events.len(), 10);
    assert_eq!(received.request.upto, None, "the place after a refused event is not reached");
    let [refused] = received.refusals.refused() else { panic!("one is refused") };
    assert_eq!(refused.index, 5);
    refused.clone()
}

#[test]
fn an_unparsable_event_is_refused_and_ten_go_on() {
    let refused = the_refused(r#"{"id":"bad","type":"T","surprise":1}"#.into());
    assert_eq!((refused.id.as_str(), refused.code), ("bad", RefusalCode::Invalid));
    assert!(refused.message.contains("surprise"), "{}", refused.message);
}

#[test]
fn something_that_is_no_object_is_refused_without_an_id() {
    for bad in ["7", "null", "[]", r#""e""#, r#"{"id":7}"#] {
        assert_eq!(the_refused(bad.into()).id, "");
    }
}

#[test]
fn an_event_above_its_limit_is_refused_and_ten_go_on() {
    let data = format!("{:?}", "x".repeat(limits().limits.event_bytes));
    let refused = the_refused(text(99, &data));
    assert_eq!((refused.id.as_str(), refused.code), ("e-99", RefusalCode::TooLarge));
}

#[test]
fn an_event_far_above_its_limit_is_refused_before_it_is_parsed() {
    let data = format!("{:?}", "x".repeat(limits().event_text_bytes()));
    let refused = the_refused(text(99, &data));
    assert_eq!((refused.id.as_str(), refused.code), ("e-99", RefusalCode::TooLarge));
}

#[test]
fn an_event_at_its_limit_passes() {
    let mut event = event(1, "1");
    let rest = event.size() - 1;
    let escaped = "\\u0001".repeat(1_000);
    let plain = "x".repeat(limits().limits.event_bytes - rest - escaped.len() - 2);
    event.data = Data::json(format!("\"{escaped}{plain}\"")).expect("valid");
    assert_eq!(event.size(), limits().limits.event_bytes);
    let text = serde_json::to_string(&event).expect("encodes");
    let received = ReceivedPush::from_json(&push(&[text], ""), &limits()).expect("decodes");
    assert_eq!(received.request.events, [event]);
}

#[test]
fn a_clock_of_100_000_nodes_is_refused_and_ten_go_on() {
    let nodes: Vec<String> = (0..100_000).map(|node| format!("\"n{node}\":1")).collect();
    let bad = text(99, "1").replace(r#""clock":{"a":99}"#, &format!(r#""clock":{{{}}}"#, nodes.join(",")));
    assert_eq!(the_refused(bad).id, "e-99");
}

#[test]
fn nesting_of_100_000_in_data_is_refused_and_ten_go_on() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bad = text(99, "1").replace(r#""data":1"#, &format!(r#""data":{deep}"#));
    assert_eq!(the_refused(bad).id, "e-99");
}

#[test]
fn data_at_the_depth_limit_passes() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let received = ReceivedPush::from_json(&push(&[text(1, &deep)], ""), &limits()).expect("decodes");
    assert_eq!(received.request.events, [event(1, &deep)]);
}

#[test]
fn nesting_of_two_million_does_not_overflow_a_small_stack() {
    let deep = "[".repeat(2_000_000);
    let closed = format!("{deep}{}", "]".repeat(2_000_000));
    let read = move || {
        let body = push(std::slice::from_ref(&closed), "");
        let received = ReceivedPush::from_json(&body, &limits()).expect("decodes");
        assert_eq!(received.refusals.refused().len(), 1);
        for body in [deep.clone(), format!(r#"{{"caller":{closed}}}"#), format!(r#"{{"filter":{closed}}}"#)] {
            let body = body.as_bytes();
            assert!(ReceivedPush::from_json(body, &limits()).is_err());
            assert!(PullRequest::from_json(body, &limits()).is_err());
            assert!(PullResponse::from_json(body, &limits()).is_err());
            assert!(HelloRequest::from_json(body, &limits()).is_err());
            assert!(MissingRequest::from_json(body, &limits()).is_err());
            assert!(Error::from_json(body, &limits()).is_err());
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(read).expect("starts").join().expect("passes");
}

#[test]
fn a_batch_of_1_001_events_is_refused_whole() {
    let events: Vec<String> = (1..=1_001).map(|counter| text(counter, "1")).collect();
    let error = ReceivedPush::from_json(&push(&events, ""), &limits()).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(ReceivedPush::from_json(&push(&events[1..], ""), &limits()).is_ok());
    let error = PullResponse::from_json(&page(&events), &limits()).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn more_than_1_000_ids_are_refused() {
    let caller = Caller { node: NodeId::new("a").expect("valid"), store: store() };
    let ids = |n: usize| (0..n).map(|id| id.to_string().parse().expect("valid")).collect();
    let many = MissingRequest { caller: caller.clone(), ids: ids(1_001) };
    let error = MissingRequest::from_json(&many.to_json(), &limits()).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let fits = MissingRequest { caller, ids: ids(1_000) };
    assert_eq!(MissingRequest::from_json(&fits.to_json(), &limits()).expect("decodes"), fits);
}

#[test]
fn a_message_above_the_decoded_limit_is_refused() {
    let limits = WireLimits { decoded_bytes: 100, ..limits() };
    let error = ReceivedPush::from_json(&push(&[text(1, "1")], ""), &limits).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn a_message_without_events_has_a_limit_of_its_own() {
    let types: Vec<String> = (0..400_000).map(|n| format!("\"{n}\"")).collect();
    let caller = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
    let body = format!(r#"{{"caller":{caller},"filter":{{"types":[{}]}}}}"#, types.join(","));
    let error = PullRequest::from_json(body.as_bytes(), &limits()).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn unknown_and_duplicate_keys_of_requests_are_refused() {
    let good = push(&[], "");
    assert!(ReceivedPush::from_json(&good, &limits()).is_ok());
    for rest in [r#","extra":1"#, r#","filter":"all""#, r#","events":[]"#] {
        let error = ReceivedPush::from_json(&push(&[], rest), &limits()).expect_err(rest);
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let caller = r#""caller":{"node":"a","store":"07070707070707070707070707070707"}"#;
    for body in [
        format!(r#"{{{caller},"protocol":1,"filter":"all","extra":1}}"#),
        format!(r#"{{{caller},"protocol":1,"filter":"all","filter":"all"}}"#),
    ] {
        assert!(HelloRequest::from_json(body.as_bytes(), &limits()).is_err(), "{body}");
    }
    assert!(
        PullRequest::from_json(format!(r#"{{{caller},"limit":1,"limit":2}}"#).as_bytes(), &limits()).is_err()
    );
    assert!(
        MissingRequest::from_json(format!(r#"{{{caller},"ids":[],"ids":[]}}"#).as_bytes(), &limits())
            .is_err()
    );
}

#[test]
fn a_metadata_field_named_twice_in_a_filter_is_refused() {
    let caller = r#""caller":{"node":"a","store":"07070707070707070707070707070707"}"#;
    for (fields, good) in [(r#""a":["1"],"b":["1"]"#, true), (r#""a":["1"],"a":["2"]"#, false)] {
        let body = format!(r#"{{{caller},"filter":{{"metadata":{{{fields}}}}}}}"#);
        assert_eq!(PullRequest::from_json(body.as_bytes(), &limits()).is_ok(), good, "{fields}");
    }
}

#[test]
fn answers_may_grow_new_keys() {
    let body = br#"{"accepted":1,"duplicates":0,"refused":[],"new":true}"#;
    assert_eq!(PushResponse::from_json(body, &limits()).expect("decodes").accepted, 1);
    let grown = String::from_utf8(page(&[])).expect("text").replacen('{', r#"{"new":{},"#, 1);
    assert!(PullResponse::from_json(grown.as_bytes(), &limits()).is_ok());
}

#[test]
fn an_unreadable_event_of_a_page_is_kept_as_text_and_passed_on() {
    let bad = "{\"id\":\"bad\",\n \"type\":1}".to_owned();
    let read = PullResponse::from_json(&page(&eleven(bad.clone())), &limits()).expect("decodes");
    assert_eq!((read.events.len(), read.unreadable.len()), (10, 1));
    assert_eq!((&*read.unreadable[0].id, &*read.unreadable[0].text), ("bad", &*bad));
    assert_eq!(PullResponse::from_json(&read.to_json(), &limits()).expect("decodes"), read);
}

#[test]
fn text_of_an_unreadable_event_that_is_not_json_is_passed_on_as_a_string() {
    let mut read = PullResponse::from_json(&page(&[text(1, "1")]), &limits()).expect("decodes");
    let broken = Refused { index: 0, id: String::new(), code: RefusalCode::Invalid, message: String::new() };
    read.unreadable.push(synckit_core::Unreadable {
        id: broken.id,
        code: broken.code,
        message: broken.message,
        text: "{\"id\":".into(),
    });
    let again = PullResponse::from_json(&read.to_json(), &limits()).expect("decodes");
    assert_eq!((again.events, again.unreadable.len()), (read.events, 1));
}

#[test]
fn refusals_of_both_sides_are_joined_by_place() {
    let body = push(&eleven("7".into()), "");
    let received = ReceivedPush::from_json(&body, &limits()).expect("decodes");
    let denied = |index| Refused { index, id: "x".into(), code: RefusalCode::Denied, message: String::new() };
    let answer =
        PushResponse { accepted: 8, duplicates: 0, refused: vec![denied(4), denied(5)], placed: None };
    let places: Vec<usize> =
        received.refusals.join(answer).refused.iter().map(|refused| refused.index).collect();
    assert_eq!(places, [4, 5, 6]);
}

#[test]
fn every_kind_of_error_crosses() {
    for kind in ErrorKind::ALL {
        let sent = Error::new(kind, "what is \"wrong\"").with("event", "e-1");
        let read = Error::from_json(&sent.to_json(), &limits()).expect("decodes");
        assert_eq!(read.kind(), kind);
        assert!(read.message().starts_with("what is \"wrong\""));
    }
    let body = Error::new(ErrorKind::Internal, "broken").with("path", "/secret").to_json();
    assert!(!String::from_utf8(body).expect("text").contains("secret"));
}

#[test]
fn an_unknown_code_keeps_whether_to_repeat() {
    for (retryable, kind) in [(true, ErrorKind::Unavailable), (false, ErrorKind::Internal)] {
        let body = format!(r#"{{"error":{{"code":"new","message":"m","retryable":{retryable}}}}}"#);
        assert_eq!(Error::from_json(body.as_bytes(), &limits()).expect("decodes").kind(), kind);
    }
}

#[test]
fn an_error_in_the_place_of_a_page_is_that_error() {
    let body = Error::new(ErrorKind::CursorUnknown, "start again").to_json();
    let error = PullResponse::from_json(&body, &limits()).expect_err("an error");
    assert_eq!((error.kind(), error.message()), (ErrorKind::CursorUnknown, "start again"));
}
