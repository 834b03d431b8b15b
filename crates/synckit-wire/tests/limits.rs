//! One test for each limit, and for one bad event among good ones.

use synckit_core::{
    Ahead, Caller, Cursor, Data, Dot, Error, ErrorKind, Event, EventId, Filter, HelloRequest, HelloResponse,
    Limits, MissingRequest, MissingResponse, NewEvent, NodeId, PullRequest, PullResponse, PushRequest,
    PushResponse, Refused, RefusedCode, Scope, StoreId, Timestamp, Unreadable, VectorClock,
};
use synckit_wire::{Decode, Encode, Format, ReceivedPush, WireLimits};

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

/// Encodes one event as it appears in a push or a page.
fn form(format: Format, event: &Event) -> Vec<u8> {
    match format {
        Format::Json => serde_json::to_vec(event).expect("encodes"),
        Format::Protobuf => {
            let page = PullResponse {
                events: vec![event.clone()],
                ids: Vec::new(),
                unreadable: Vec::new(),
                next: Cursor::start(store()),
                more: false,
            };
            let (rest, body) = (page_of(format, &[]), page.to_protobuf());
            let field = &body[..body.len() - rest.len()];
            let prefix = 1 + field[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
            field[prefix..].to_vec()
        }
    }
}

fn text(counter: u64, data: &str) -> String {
    serde_json::to_string(&event(counter, data)).expect("encodes")
}

fn caller() -> Caller {
    Caller { node: NodeId::new("a").expect("valid"), store: store() }
}

fn push(events: &[String], rest: &str) -> Vec<u8> {
    let caller = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
    format!(r#"{{"caller":{caller},"filter":"all","events":[{}]{rest}}}"#, events.join(",")).into_bytes()
}

fn page(events: &[String]) -> Vec<u8> {
    format!(r#"{{"events":[{}],"next":"{}","more":false}}"#, events.join(","), Cursor::start(store()))
        .into_bytes()
}

/// Builds a push of these events, whatever they are, with a place that is reached after them.
fn push_of(format: Format, events: &[Vec<u8>]) -> Vec<u8> {
    let upto = Cursor::start(store());
    match format {
        Format::Json => push(&texts(events), &format!(r#","upto":"{upto}""#)),
        Format::Protobuf => {
            let request = PushRequest {
                caller: caller(),
                filter: "all".into(),
                events: Vec::new(),
                from: None,
                upto: Some(upto),
                known: Vec::new(),
            };
            let mut body = request.to_protobuf();
            put_fields(&mut body, 3, events);
            body
        }
    }
}

/// Builds a page of these events, whatever they are.
fn page_of(format: Format, events: &[Vec<u8>]) -> Vec<u8> {
    match format {
        Format::Json => page(&texts(events)),
        Format::Protobuf => {
            let next = Cursor::start(store());
            let page = PullResponse {
                events: Vec::new(),
                ids: Vec::new(),
                unreadable: Vec::new(),
                next,
                more: false,
            };
            let mut body = page.to_protobuf();
            put_fields(&mut body, 1, events);
            body
        }
    }
}

fn texts(events: &[Vec<u8>]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8(event.clone()).expect("text")).collect()
}

/// Appends strings or messages as the fields of this tag.
fn put_fields(out: &mut Vec<u8>, tag: u32, values: &[Vec<u8>]) {
    for value in values {
        prost::encoding::bytes::encode(tag, value, out);
    }
}

fn limits() -> WireLimits {
    WireLimits::default()
}

/// Returns ten good events with a bad one in the middle.
fn eleven(format: Format, bad: Vec<u8>) -> Vec<Vec<u8>> {
    let mut events: Vec<_> = (1..=10).map(|counter| form(format, &event(counter, "1"))).collect();
    events.insert(5, bad);
    events
}

fn the_refused(format: Format, bad: Vec<u8>) -> Refused {
    let body = push_of(format, &eleven(format, bad.clone()));
    let received = ReceivedPush::decode(format, &body, &limits()).expect("decodes");
    assert_eq!(received.request.events.len(), 10);
    assert_eq!(received.request.upto, None, "the place after a refused event is not reached");
    let [refused] = &*received.refused else { panic!("one is refused") };
    let page =
        PullResponse::decode(format, &page_of(format, &eleven(format, bad)), &limits()).expect("decodes");
    let [unreadable] = &*page.unreadable else { panic!("one is unreadable") };
    assert_eq!((&unreadable.id, unreadable.code), (&refused.id, refused.code));
    refused.clone()
}

fn json(bad: impl Into<String>) -> (Format, Vec<u8>) {
    (Format::Json, bad.into().into_bytes())
}

#[test]
fn an_unparsable_event_is_refused_and_ten_go_on() {
    let (format, bad) = json(r#"{"id":"bad","type":"T","surprise":1}"#);
    let refused = the_refused(format, bad);
    assert_eq!((refused.id.as_str(), refused.code), ("bad", RefusedCode::Invalid));
    assert!(refused.message.contains("surprise"), "{}", refused.message);

    let mut bad = Vec::new();
    put_fields(&mut bad, 1, &[b"bad".to_vec()]);
    let refused = the_refused(Format::Protobuf, bad);
    assert_eq!((refused.id.as_str(), refused.code), ("bad", RefusedCode::Invalid));
}

#[test]
fn something_that_is_no_event_is_refused_without_an_id() {
    for bad in ["7", "null", "[]", r#""e""#, r#"{"id":7}"#] {
        assert_eq!(the_refused(Format::Json, bad.into()).id, "");
    }
    for bad in [&b""[..], b"\xff", b"\x0b", b"\x08\x07", b"\x0a\x05x", b"\x0a\x01\xff"] {
        assert_eq!(the_refused(Format::Protobuf, bad.into()).id, "");
    }
}

#[test]
fn an_event_above_its_limit_is_refused_and_ten_go_on() {
    for format in Format::ALL {
        let data = format!("{:?}", "x".repeat(limits().limits.event_bytes));
        let refused = the_refused(format, form(format, &event(99, &data)));
        assert_eq!((refused.id.as_str(), refused.code), ("e-99", RefusedCode::TooLarge));
    }
}

#[test]
fn an_event_far_above_its_limit_is_refused_before_it_is_parsed() {
    for format in Format::ALL {
        let data = format!("{:?}", "x".repeat(limits().event_text_bytes()));
        let refused = the_refused(format, form(format, &event(99, &data)));
        assert_eq!((refused.id.as_str(), refused.code), ("e-99", RefusedCode::TooLarge));
    }
}

#[test]
fn an_event_at_its_limit_passes() {
    let mut event = event(1, "1");
    let rest = event.size() - 1;
    let escaped = "\\u0001".repeat(1_000);
    let plain = "x".repeat(limits().limits.event_bytes - rest - escaped.len() - 2);
    event.data = Data::json(format!("\"{escaped}{plain}\"")).expect("valid");
    assert_eq!(event.size(), limits().limits.event_bytes);
    for format in Format::ALL {
        let body = push_of(format, &[form(format, &event)]);
        let received = ReceivedPush::decode(format, &body, &limits()).expect("decodes");
        assert_eq!(received.request.events, [event.clone()]);
    }
}

#[test]
fn a_clock_of_100_000_nodes_is_refused_and_ten_go_on() {
    let nodes: Vec<String> = (0..100_000).map(|node| format!("\"n{node}\":1")).collect();
    let bad = text(99, "1").replace(r#""clock":{"a":99}"#, &format!(r#""clock":{{{}}}"#, nodes.join(",")));
    assert_eq!(the_refused(Format::Json, bad.into()).id, "e-99");

    let mut bad = form(Format::Protobuf, &event(99, "1"));
    put_fields(&mut bad, 8, &vec![Vec::new(); 100_000]);
    let refused = the_refused(Format::Protobuf, bad);
    assert_eq!(refused.id, "e-99");
    assert!(refused.message.contains("1000 nodes"), "{}", refused.message);
}

#[test]
fn a_clock_that_names_a_node_twice_is_refused_and_ten_go_on() {
    let bad = text(99, "1").replace(r#""clock":{"a":99}"#, r#""clock":{"a":99,"a":98}"#);
    assert_eq!(the_refused(Format::Json, bad.into()).id, "e-99");
    let mut bad = form(Format::Protobuf, &event(99, "1"));
    put_fields(&mut bad, 8, &[b"\x0a\x01a\x10\x62".to_vec()]);
    assert_eq!(the_refused(Format::Protobuf, bad).id, "e-99");
}

#[test]
fn nesting_of_100_000_in_data_is_refused_and_ten_go_on() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bad = text(99, "1").replace(r#""data":1"#, &format!(r#""data":{deep}"#));
    assert_eq!(the_refused(Format::Json, bad.into()).id, "e-99");
    let mut bad = form(Format::Protobuf, &event(99, "1"));
    put_fields(&mut bad, 4, &[deep.into_bytes()]);
    assert_eq!(the_refused(Format::Protobuf, bad).id, "e-99");
}

#[test]
fn data_at_the_depth_limit_passes() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for format in Format::ALL {
        let body = push_of(format, &[form(format, &event(1, &deep))]);
        let received = ReceivedPush::decode(format, &body, &limits()).expect("decodes");
        assert_eq!(received.request.events, [event(1, &deep)]);
    }
}

#[test]
fn nesting_of_two_million_does_not_overflow_a_small_stack() {
    let deep = "[".repeat(2_000_000);
    let closed = format!("{deep}{}", "]".repeat(2_000_000));
    let read = move || {
        let body = push(std::slice::from_ref(&closed), "");
        let received = ReceivedPush::from_json(&body, &limits()).expect("decodes");
        assert_eq!(received.refused.len(), 1);
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
    for format in Format::ALL {
        let events: Vec<_> = (1..=1_001).map(|counter| form(format, &event(counter, "1"))).collect();
        let error = ReceivedPush::decode(format, &push_of(format, &events), &limits()).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(ReceivedPush::decode(format, &push_of(format, &events[1..]), &limits()).is_ok());
        let error = PullResponse::decode(format, &page_of(format, &events), &limits()).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(PullResponse::decode(format, &page_of(format, &events[1..]), &limits()).is_ok());
    }
}

#[test]
fn more_than_1_000_ids_are_refused() {
    let many = MissingRequest { caller: caller(), ids: ids(1_001), known: Vec::new() };
    let fits = MissingRequest { caller: caller(), ids: ids(1_000), known: Vec::new() };
    let answer = MissingResponse { ids: ids(1_001), place: None };
    for format in Format::ALL {
        let error = MissingRequest::decode(format, &many.encode(format), &limits()).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(MissingRequest::decode(format, &fits.encode(format), &limits()).expect("decodes"), fits);
        let error = MissingResponse::decode(format, &answer.encode(format), &limits()).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn a_message_above_the_decoded_limit_is_refused() {
    let limits = WireLimits { decoded_bytes: 100, ..limits() };
    for format in Format::ALL {
        let body = push_of(format, &[form(format, &event(1, "\"some text that takes its place\""))]);
        let error = ReceivedPush::decode(format, &body, &limits).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn a_message_without_events_has_a_limit_of_its_own() {
    let types: Vec<String> = (0..400_000).map(|n| format!("\"{n}\"")).collect();
    let from = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
    let body = format!(r#"{{"caller":{from},"filter":{{"types":[{}]}}}}"#, types.join(","));
    let error = PullRequest::from_json(body.as_bytes(), &limits()).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);

    let mut body = MissingRequest { caller: caller(), ids: Vec::new(), known: Vec::new() }.to_protobuf();
    put_fields(&mut body, 2, &vec![vec![b'x'; 200]; 11_000]);
    let error = MissingRequest::from_protobuf(&body, &limits()).expect_err("too large");
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
    let body = page_of(Format::Json, &eleven(Format::Json, bad.clone().into_bytes()));
    let read = PullResponse::from_json(&body, &limits()).expect("decodes");
    assert_eq!((read.events.len(), read.unreadable.len()), (10, 1));
    assert_eq!((&*read.unreadable[0].id, &*read.unreadable[0].text), ("bad", &*bad));
    for format in Format::ALL {
        assert_eq!(PullResponse::decode(format, &read.encode(format), &limits()).expect("decodes"), read);
    }
}

#[test]
fn an_unreadable_event_in_protobuf_is_kept_as_json_and_passed_on() {
    let mut bad = form(Format::Protobuf, &event(99, "1"));
    put_fields(&mut bad, 2, &[b"\xff".to_vec()]);
    let body = page_of(Format::Protobuf, &eleven(Format::Protobuf, bad));
    let read = PullResponse::from_protobuf(&body, &limits()).expect("decodes");
    let [Unreadable { id, text, .. }] = &*read.unreadable else { panic!("one is unreadable") };
    assert_eq!(id, "e-99");
    assert!(text.starts_with(r#"{"id":"e-99","protobuf":""#), "{text}");
    assert_eq!(PullResponse::from_protobuf(&read.to_protobuf(), &limits()).expect("decodes"), read);
    let again = PullResponse::from_json(&read.to_json(), &limits()).expect("decodes");
    assert_eq!((&again.unreadable[0].id, &again.unreadable[0].text), (id, text));
}

#[test]
fn an_event_that_is_only_too_large_is_kept_so_that_it_can_be_read_later() {
    let large = event(99, &format!("{:?}", "x".repeat(limits().limits.event_bytes)));
    for format in Format::ALL {
        let body = page_of(format, &[form(format, &large)]);
        let read = PullResponse::decode(format, &body, &limits()).expect("decodes");
        assert_eq!(serde_json::from_str::<Event>(&read.unreadable[0].text).expect("reads"), large);
    }
}

#[test]
fn text_of_an_unreadable_event_that_is_not_json_is_passed_on_as_a_string() {
    let mut read = PullResponse::from_json(&page(&[text(1, "1")]), &limits()).expect("decodes");
    let broken = Refused { id: String::new(), code: RefusedCode::Invalid, message: String::new() };
    read.unreadable.push(Unreadable {
        id: broken.id,
        code: broken.code,
        message: broken.message,
        text: "{\"id\":".into(),
    });
    let again = PullResponse::from_json(&read.to_json(), &limits()).expect("decodes");
    assert_eq!((again.events, again.unreadable.len()), (read.events, 1));
}

#[test]
fn every_kind_of_error_crosses() {
    for (format, kind) in Format::ALL.into_iter().flat_map(|format| ErrorKind::ALL.map(|kind| (format, kind)))
    {
        let sent = Error::new(kind, "what is \"wrong\"").with("event", "e-1");
        let read = Error::decode(format, &sent.encode(format), &limits()).expect("decodes");
        assert_eq!(read.kind(), kind);
        assert!(read.message().starts_with("what is \"wrong\""));
        let body = Error::new(ErrorKind::Internal, "broken").with("path", "/secret").encode(format);
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}

#[test]
fn when_to_come_again_crosses_in_protobuf() {
    let delay = std::time::Duration::from_millis(1_500);
    let sent = Error::new(ErrorKind::Busy, "later").with_retry_after(delay);
    let read = Error::from_protobuf(&sent.to_protobuf(), &limits()).expect("decodes");
    assert_eq!(read.retry_after(), Some(delay));
}

#[test]
fn an_unknown_code_keeps_whether_to_repeat() {
    for (retryable, kind) in [(true, ErrorKind::Unavailable), (false, ErrorKind::Internal)] {
        let body = format!(r#"{{"error":{{"code":"new","message":"m","retryable":{retryable}}}}}"#);
        assert_eq!(Error::from_json(body.as_bytes(), &limits()).expect("decodes").kind(), kind);
        let body = [0x58, 99, 0x68, u8::from(retryable)];
        assert_eq!(Error::from_protobuf(&body, &limits()).expect("decodes").kind(), kind);
    }
}

#[test]
fn what_says_no_code_is_no_error() {
    for body in [&b""[..], b"\x62\x01m", b"\x58\x00"] {
        let read = Error::from_protobuf(body, &limits()).expect_err("not an error");
        assert_eq!(read.kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn an_error_in_the_place_of_a_page_is_that_error() {
    for format in Format::ALL {
        let body = Error::new(ErrorKind::CursorUnknown, "start again").encode(format);
        let error = PullResponse::decode(format, &body, &limits()).expect_err("an error");
        assert_eq!((error.kind(), error.message()), (ErrorKind::CursorUnknown, "start again"));
    }
}

#[test]
fn nothing_in_protobuf_is_an_answer_of_none() {
    assert!(HelloResponse::from_protobuf(b"", &limits()).is_err());
    assert!(PullResponse::from_protobuf(b"", &limits()).is_err());
    assert!(PushResponse::from_protobuf(b"", &limits()).is_err());
    assert!(MissingResponse::from_protobuf(b"", &limits()).is_err());
}

#[test]
fn fields_that_are_not_known_are_ignored_in_protobuf() {
    let mut body = push_of(Format::Protobuf, &[]);
    let read = ReceivedPush::from_protobuf(&body, &limits()).expect("decodes");
    put_fields(&mut body, 99, &[b"new".to_vec()]);
    assert_eq!(ReceivedPush::from_protobuf(&body, &limits()).expect("decodes"), read);
    let mut event = form(Format::Protobuf, &event(1, "1"));
    put_fields(&mut event, 99, &[b"new".to_vec()]);
    let body = push_of(Format::Protobuf, &[event]);
    assert!(ReceivedPush::from_protobuf(&body, &limits()).expect("decodes").refused.is_empty());
}

#[test]
fn a_million_things_in_two_bytes_each_are_refused_by_their_number() {
    let mut body = push_of(Format::Protobuf, &[]);
    put_fields(&mut body, 3, &vec![Vec::new(); 1_000_000]);
    assert_eq!(ReceivedPush::from_protobuf(&body, &limits()).expect_err("many").kind(), ErrorKind::TooLarge);
    for tag in [1, 2, 5] {
        let mut body = page_of(Format::Protobuf, &[]);
        put_fields(&mut body, tag, &vec![Vec::new(); 1_000_000]);
        let error = PullResponse::from_protobuf(&body, &limits()).expect_err("many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
    let mut body = MissingRequest { caller: caller(), ids: Vec::new(), known: Vec::new() }.to_protobuf();
    put_fields(&mut body, 2, &vec![Vec::new(); 1_000_000]);
    assert_eq!(
        MissingRequest::from_protobuf(&body, &limits()).expect_err("many").kind(),
        ErrorKind::TooLarge
    );
    for tag in [6, 7] {
        let mut body = pull_with(Vec::new());
        put_fields(&mut body, tag, &vec![Vec::new(); 500_000]);
        let error = PullRequest::from_protobuf(&body, &limits()).expect_err("many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
    for tag in [10, 13] {
        let mut body = hello_answer(0, 0).to_protobuf();
        put_fields(&mut body, tag, &vec![Vec::new(); 500_000]);
        let error = HelloResponse::from_protobuf(&body, &limits()).expect_err("many");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
    let mut body = PushResponse::default().to_protobuf();
    put_fields(&mut body, 3, &vec![Vec::new(); 1_000_000]);
    assert_eq!(PushResponse::from_protobuf(&body, &limits()).expect_err("many").kind(), ErrorKind::TooLarge);
}

fn ids(many: usize) -> Vec<EventId> {
    (0..many).map(|id| id.to_string().parse().expect("valid")).collect()
}

fn hello_answer(known: usize, former: usize) -> HelloResponse {
    HelloResponse {
        protocol: 1,
        store: store(),
        former: vec![store(); former],
        node: NodeId::new("b").expect("valid"),
        head: 0,
        limits: Limits::default(),
        time: 0,
        counter: 0,
        counter_event: None,
        pushed: None,
        known: vec![Cursor::start(store()); known],
        all_held: true,
        rights: None,
        ahead: None,
    }
}

#[test]
fn places_and_former_ids_in_the_answer_to_a_hello_are_counted() {
    for format in Format::ALL {
        for (known, former, good) in [(1_000, 16, true), (1_001, 0, false), (0, 17, false)] {
            let answer = hello_answer(known, former);
            let read = HelloResponse::decode(format, &answer.encode(format), &limits());
            match read {
                Ok(read) => assert!(good && read == answer, "{format:?} {known} {former}"),
                Err(error) => assert!(!good && error.kind() == ErrorKind::TooLarge, "{format:?} {error}"),
            }
        }
    }
}

#[test]
fn places_in_a_hello_are_counted() {
    for format in Format::ALL {
        let hello = |known| HelloRequest {
            protocol: 1,
            caller: caller(),
            filter: "all".into(),
            known: vec![Cursor::start(store()); known],
            ahead: None,
        };
        let read = |known| HelloRequest::decode(format, &hello(known).encode(format), &limits());
        assert_eq!(read(1_000).expect("as many as there may be"), hello(1_000));
        assert_eq!(read(1_001).expect_err("too many").kind(), ErrorKind::TooLarge, "{format:?}");
    }
}

#[test]
fn ids_of_a_page_are_counted_with_its_events() {
    let page = |events: usize, many| PullResponse {
        events: (1..=events as u64).map(|counter| event(counter, "1")).collect(),
        ids: ids(many),
        unreadable: Vec::new(),
        next: Cursor::start(store()),
        more: false,
    };
    for format in Format::ALL {
        for (events, many, good) in [(0, 1_000, true), (1, 999, true), (0, 1_001, false), (1, 1_000, false)] {
            let page = page(events, many);
            match PullResponse::decode(format, &page.encode(format), &limits()) {
                Ok(read) => assert!(good && read == page, "{format:?} {events} {many}"),
                Err(error) => assert!(!good && error.kind() == ErrorKind::TooLarge, "{format:?} {error}"),
            }
        }
    }
}

#[test]
fn a_page_without_ids_does_not_speak_of_them() {
    assert!(
        !String::from_utf8(PullResponse::from_json(&page(&[]), &limits()).expect("reads").to_json())
            .expect("text")
            .contains("ids")
    );
}

fn pull_of(scope: Scope) -> PullRequest {
    PullRequest { caller: caller(), cursor: None, limit: None, filter: Filter::new(), scope, upto: None }
}

#[test]
fn what_a_scope_names_is_counted() {
    for format in Format::ALL {
        for (scope, good) in [
            (Scope::Sent(vec![store(); 256]), true),
            (Scope::Sent(vec![store(); 257]), false),
            (Scope::Named(ids(1_000)), true),
            (Scope::Named(ids(1_001)), false),
        ] {
            match PullRequest::decode(format, &pull_of(scope.clone()).encode(format), &limits()) {
                Ok(read) => assert!(good && read.scope == scope, "{format:?}"),
                Err(error) => assert!(!good && error.kind() == ErrorKind::TooLarge, "{format:?} {error}"),
            }
        }
    }
}

#[test]
fn a_wrong_scope_is_refused() {
    let body = String::from_utf8(pull_of(Scope::Others).to_json()).expect("text");
    for bad in [
        r#""everything""#,
        r#""sent""#,
        r#"{"others":[]}"#,
        r#"{"sent":["x"]}"#,
        r#"{"named":[""]}"#,
        r#"{"sent":[],"named":[]}"#,
        r#"{"sent":[],"sent":[]}"#,
        r#"["named"]"#,
        "7",
        "null",
    ] {
        let body = body.replace(r#""others""#, bad);
        let error = PullRequest::from_json(body.as_bytes(), &limits()).expect_err(bad);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
    }
    let body = body.replace(r#""others""#, r#""everything""#);
    let error = PullRequest::from_json(body.as_bytes(), &limits()).expect_err("not known");
    assert!(error.message().contains("`others`"), "{error}");

    let id = store().to_string().into_bytes();
    // The number of the scope, and the tag of a name.
    for (scope, tag) in [(1, 0), (9, 0), (0, 6), (0, 7), (2, 7), (3, 6)] {
        let mut body = pull_of(Scope::Others).to_protobuf();
        body.extend_from_slice(&[5 << 3, scope]);
        if tag > 0 {
            put_fields(&mut body, tag, std::slice::from_ref(&id));
        }
        let error = PullRequest::from_protobuf(&body, &limits()).expect_err("wrong");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{scope} {tag}");
        assert!(error.message().contains("scope"), "{error}");
    }
}

#[test]
fn a_cursor_that_names_an_event_is_refused() {
    let old = format!("{}.7.0199f0c0-7d1e-7a53-9c61-2f6f0b1c9a10", store());
    let json = String::from_utf8(pull_of(Scope::Others).to_json()).expect("text");
    let json = json.replacen('{', &format!(r#"{{"cursor":"{old}","#), 1);
    let mut protobuf = pull_of(Scope::Others).to_protobuf();
    put_fields(&mut protobuf, 2, &[old.into_bytes()]);
    for (format, body) in [(Format::Json, json.into_bytes()), (Format::Protobuf, protobuf)] {
        let error = PullRequest::decode(format, &body, &limits()).expect_err("of another form");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("this is not a cursor"), "{error}");
    }
}

/// Builds a pull with a filter of these bytes.
fn pull_with(filter: Vec<u8>) -> Vec<u8> {
    let mut body = pull_of(Scope::Others).to_protobuf();
    put_fields(&mut body, 4, &[filter]);
    body
}

#[test]
fn a_filter_of_1_001_criteria_is_refused() {
    for (most, good) in [(1_000, true), (1_001, false)] {
        let names: Vec<_> = (0..most).map(|name| name.to_string().into_bytes()).collect();
        for tag in [1, 2, 3] {
            let mut filter = Vec::new();
            put_fields(&mut filter, tag, &names);
            assert_eq!(PullRequest::from_protobuf(&pull_with(filter), &limits()).is_ok(), good, "{tag}");
        }
        let (mut values, mut filter) = (b"\x0a\x01k".to_vec(), Vec::new());
        put_fields(&mut values, 2, &names);
        put_fields(&mut filter, 4, &[values]);
        assert_eq!(PullRequest::from_protobuf(&pull_with(filter), &limits()).is_ok(), good, "values");
        let types: Vec<_> =
            names.iter().map(|name| String::from_utf8_lossy(name)).map(|name| format!("{name:?}")).collect();
        let from = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
        let body = format!(r#"{{"caller":{from},"filter":{{"types":[{}]}}}}"#, types.join(","));
        assert_eq!(PullRequest::from_json(body.as_bytes(), &limits()).is_ok(), good, "json");
    }
    let mut filter = Vec::new();
    put_fields(&mut filter, 4, &vec![Vec::new(); 500_000]);
    let error = PullRequest::from_protobuf(&pull_with(filter), &limits()).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_metadata_field_named_twice_in_a_filter_in_protobuf_is_refused() {
    for (second, good) in [(b'b', true), (b'a', false)] {
        let mut filter = Vec::new();
        put_fields(
            &mut filter,
            4,
            &[b"\x0a\x01a\x12\x011".to_vec(), [b"\x0a\x01", &[second][..], b"\x12\x011"].concat()],
        );
        assert_eq!(PullRequest::from_protobuf(&pull_with(filter), &limits()).is_ok(), good);
    }
}

/// Builds a hello with these events, as they appear in a push.
fn hello_of(format: Format, events: &[Vec<u8>]) -> Vec<u8> {
    let upto = Cursor::start(store());
    let ahead = Ahead { peer: store(), after: upto.clone(), latest: None, events: Vec::new(), upto };
    let hello = HelloRequest {
        protocol: 1,
        caller: caller(),
        filter: "all".into(),
        known: Vec::new(),
        ahead: Some(ahead),
    };
    match format {
        Format::Json => {
            let text = String::from_utf8(hello.to_json()).expect("text");
            text.replace(r#""events":[]"#, &format!(r#""events":[{}]"#, texts(events).join(","))).into_bytes()
        }
        Format::Protobuf => {
            let mut body = hello.to_protobuf();
            put_fields(&mut body, 5, events);
            body
        }
    }
}

#[test]
fn events_that_come_with_hello_are_left_out_where_one_cannot_be_read_and_counted_before_they_are() {
    for format in Format::ALL {
        let good = form(format, &event(1, "1"));
        let read = |events: &[Vec<u8>]| HelloRequest::decode(format, &hello_of(format, events), &limits());
        let ahead = |events| read(events).expect("the hello is read").ahead;
        assert_eq!(ahead(std::slice::from_ref(&good)).expect("all can be read").events, [event(1, "1")]);
        let bad = if format == Format::Json { b"7".to_vec() } else { b"\x0a\x00".to_vec() };
        assert_eq!(ahead(&[good.clone(), bad]), None, "{format:?}");
        let error = read(&vec![good; 1_001]).expect_err("too many");
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{format:?}");
    }
}

#[test]
fn what_comes_with_hello_is_whole_or_absent() {
    let parts = [r#","events":[]"#.to_owned(), format!(r#","peer":"{}""#, store())];
    let places = ["after", "upto"].map(|name| format!(r#","{name}":"{}""#, Cursor::start(store())));
    let parts = [parts, places].concat();
    let caller = r#"{"node":"a","store":"07070707070707070707070707070707"}"#;
    let hello = |parts: &[String]| {
        let body = format!(r#"{{"protocol":1,"caller":{caller},"filter":"all"{}}}"#, parts.concat());
        HelloRequest::from_json(body.as_bytes(), &limits())
    };
    assert_eq!(hello(&[]).expect("none").ahead, None);
    assert!(hello(&parts).expect("all").ahead.is_some());
    assert!(hello(&parts[1..]).expect("no events are as good as none of them").ahead.is_some());
    for missing in 1..parts.len() {
        let mut some = parts.clone();
        some.remove(missing);
        let error = hello(&some).expect_err("a part is missing");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("come together"), "{error}");
    }
    let latest = r#","latest":"e-1""#.to_owned();
    assert!(hello(std::slice::from_ref(&latest)).is_err(), "the latest event comes with the others");
    let latest = hello(&[parts, vec![latest]].concat()).expect("all").ahead.expect("all").latest;
    assert_eq!(latest, Some("e-1".parse().expect("valid")));
    let alone = HelloRequest { ahead: None, ..hello(&[]).expect("none") };
    let mut body = alone.to_protobuf();
    put_fields(&mut body, 5, &[form(Format::Protobuf, &event(1, "1"))]);
    let error = HelloRequest::from_protobuf(&body, &limits()).expect_err("events alone");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_refusal_for_a_reason_that_is_not_known_is_a_refusal() {
    let refused = r#"{"id":"e-1","code":"new_reason","message":"m"}"#;
    let body = format!(r#"{{"accepted":0,"duplicates":0,"refused":[{refused}]}}"#);
    let read = PushResponse::from_json(body.as_bytes(), &limits()).expect("reads");
    assert_eq!((read.refused[0].code, read.refused[0].id.as_str()), (RefusedCode::Invalid, "e-1"));
    for code in [RefusedCode::TooLarge, RefusedCode::IdTaken, RefusedCode::Denied] {
        let body = body.replace("new_reason", &code.to_string());
        let read = PushResponse::from_json(body.as_bytes(), &limits()).expect("reads");
        assert_eq!(read.refused[0].code, code);
    }
    let body = format!(r#"{{"accepted":0,"duplicates":0,"refused":[{}]}}"#, vec![refused; 1_001].join(","));
    let error = PushResponse::from_json(body.as_bytes(), &limits()).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
