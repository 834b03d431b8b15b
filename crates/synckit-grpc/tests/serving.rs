//! A server as a whole: shutdown, health, reflection, and the service in a router of a program.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use common::{Double, Server, event, hello, kind, pull, push};
use futures_util::{StreamExt, stream};
use synckit_core::{ErrorKind, EventStore, Transport};
use synckit_grpc::{FILE_DESCRIPTOR_SET, GrpcService, GrpcTransport, PushStream};
use synckit_memory::MemoryStore;
use synckit_testkit::remote::store;
use synckit_testkit::{Fault, FaultPlan, FaultyStore};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

async fn channel(server: &Server) -> Channel {
    let address = format!("http://{}", server.address);
    tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn shutdown_ends_a_stream_of_batches_between_two_of_them() {
    let mut server = Server::start().await;
    let client = server.client();
    let batches = stream::iter([push(vec![event(1, "1")])]).chain(stream::pending());
    let pushing = tokio::spawn(async move { client.push_stream(batches).await });
    server.double.begun.notified().await;
    server.stop();
    assert_eq!(kind(pushing.await.unwrap()), ErrorKind::Unavailable);
    server.stopped().await;
}

#[tokio::test]
async fn health_is_answered_and_its_watchers_do_not_hold_up_a_shutdown() {
    let mut server = Server::start().await;
    let mut health = HealthClient::new(channel(&server).await);
    for service in ["", "synckit.v1.Sync"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.into_inner().status().as_str_name(), "SERVING");
    }
    let request = HealthCheckRequest { service: "synckit.v1.Sync".into() };
    let mut watching = health.watch(request).await.unwrap().into_inner();
    assert_eq!(watching.message().await.unwrap().unwrap().status().as_str_name(), "SERVING");
    server.stop();
    server.stopped().await;
}

/// Serves a store, and returns a client that asks for the health of the server.
async fn health_of(store: FaultyStore<MemoryStore>) -> HealthClient<Channel> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = GrpcService::new(synckit::Endpoint::new(store));
    tokio::spawn(synckit_grpc::serve(listener, service, std::future::pending()));
    HealthClient::new(tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn health_fails_with_the_store_and_recovers_with_it() {
    let plan = FaultPlan::new();
    let store = FaultyStore::new(store("hub"), plan.clone());
    let mut health = health_of(store.clone()).await;
    let mut check = async |service: &str| {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        let reason = answer.metadata().get("reason").map(|reason| reason.to_str().unwrap().to_owned());
        (answer.get_ref().status().as_str_name().to_owned(), reason)
    };
    let serving = ("SERVING".to_owned(), None);
    for service in ["", "synckit.v1.Sync"] {
        assert_eq!(check(service).await, serving);
        plan.nth_of_all(1, Fault::Crash);
        for _ in 0..3 {
            let (status, reason) = check(service).await;
            assert!(status == "NOT_SERVING" && reason.is_some_and(|reason| !reason.is_empty()), "{status}");
        }
        plan.heal();
        assert_eq!(check(service).await, serving);
    }
    store.inner().close().await.unwrap();
    assert_eq!(check("").await.0, "NOT_SERVING");
}

#[tokio::test]
async fn a_watcher_sees_the_store_fail_and_recover() {
    let plan = FaultPlan::new();
    let store = FaultyStore::new(store("hub"), plan.clone());
    let mut health = health_of(store).await;
    let watching = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut watching = watching.into_inner();
    let mut next = async || watching.message().await.unwrap().unwrap().status().as_str_name().to_owned();
    assert_eq!(next().await, "SERVING");
    plan.nth_of_all(1, Fault::Crash);
    assert_eq!(next().await, "NOT_SERVING");
    plan.heal();
    assert_eq!(next().await, "SERVING");
    let unknown = health.check(HealthCheckRequest { service: "other".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    let mut unknown =
        health.watch(HealthCheckRequest { service: "other".into() }).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status().as_str_name(), "SERVICE_UNKNOWN");
}

#[tokio::test]
async fn reflection_names_the_services_and_describes_them() {
    let server = Server::start().await;
    let mut reflection = ServerReflectionClient::new(channel(&server).await);
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("synckit.v1.Sync".into())),
    ];
    let mut answers = reflection.server_reflection_info(stream::iter(requests)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"synckit.v1.Sync".to_owned()), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
    let Some(MessageResponse::FileDescriptorResponse(files)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no description")
    };
    // A set of files is encoded as its files, each as a field.
    let described = files.file_descriptor_proto.concat();
    assert!(FILE_DESCRIPTOR_SET.ends_with(&described) && described.len() > 1_000);
}

#[tokio::test]
async fn the_service_stands_in_any_tonic_router() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let incoming = stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let router = tonic::transport::Server::builder().add_service(GrpcService::new(Double::default()));
    tokio::spawn(router.serve_with_incoming(incoming));
    let client = GrpcTransport::new(url).unwrap();
    assert_eq!(client.hello(hello()).await.unwrap().node.as_str(), "hub");
    let mut pages = client.subscribe(pull()).await.unwrap();
    client.push(push(vec![event(1, "1")])).await.unwrap();
    drop(pages.next());
}
