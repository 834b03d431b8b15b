//! The service mounted in other servers.
#![allow(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod common;

use axum::Router;
use axum::routing::get;
use common::{Double, Http, hello, kind, page, pull};
use futures_util::StreamExt;
use synckit_core::{ErrorKind, Transport};
use synckit_http::{HttpService, HttpTransport};
use synckit_testkit::remote::calls::works;
use tokio::net::TcpListener;

/// Starts an axum server with this router, and returns its URL.
async fn axum(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn the_service_is_mounted_in_axum_below_a_path() {
    let double = Double::default();
    double.pages.lock().unwrap().push_back(Ok(page(Vec::new())));
    let service = HttpService::new(double);
    let router = Router::new().route("/", get(async || "home")).nest_service("/data/sync", service);
    let url = axum(router).await;
    works::<Http>(&format!("{url}/data/sync")).await;
    works::<Http>(&format!("{url}/data/sync/")).await;
    let client = HttpTransport::new(format!("{url}/data/sync")).unwrap();
    let mut pages = client.subscribe(pull()).await.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap(), page(Vec::new()));
    let elsewhere = HttpTransport::new(url).unwrap();
    assert_eq!(kind(elsewhere.hello(hello()).await), ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_service_is_mounted_in_axum_as_the_fallback() {
    let url = axum(Router::new().fallback_service(HttpService::new(Double::default()))).await;
    works::<Http>(&url).await;
}
