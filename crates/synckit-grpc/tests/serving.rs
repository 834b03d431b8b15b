//! A server as a whole: shutdown, health, reflection, and the service in a router of a program.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use common::{Double, Server, event, hello, kind, pull, push};
use futures_util::{StreamExt, stream};
use synckit_core::{ErrorKind, Transport};
use synckit_grpc::{FILE_DESCRIPTOR_SET, GrpcService, GrpcTransport, PushStream};
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
