use std::sync::Arc;

use pointstream_http::{BindError, Options, Server, Token};
use pointstream_hub::{Hub, Limits};
use pointstream_time::Seed;

use crate::support::{Answer, Gateway, Plant};

const WRITE: &str = "POST /v1/points/ahu.tempSetpoint/write";
const JSON: &str = "Content-Type: application/json\r\nContent-Length: 11\r\n";
const BODY: &str = r#"{"val": 22}"#;

async fn with_host(gateway: &Gateway, host: &str) -> Answer {
    gateway.raw(&format!("GET /v1/points HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await
}

#[tokio::test]
async fn a_rebound_name_reaches_nothing() {
    let gateway = Gateway::with(|options| options.allowed_hosts = vec!["gw.example".into()]).await;
    let port = gateway.addr.port();
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("gw.example:{port}")]
    {
        assert_eq!(with_host(&gateway, &format!("Host: {host}\r\n")).await.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost", "127.0.0.1", "gw.example.evil.example", "0.0.0.0"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            if host == format!("localhost:{port}") || host == format!("127.0.0.1:{port}") {
                continue;
            }
            let detail = with_host(&gateway, &format!("Host: {host}\r\n")).await.expect_error(403);
            assert!(detail.contains("allowed_hosts"), "{detail}");
        }
    }
    with_host(&gateway, "").await.expect_error(400);
    let two = format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n");
    with_host(&gateway, &two).await.expect_error(400);
    // A target that names a host itself does not get around it, nor does it around the target's.
    for (target, host) in
        [("http://evil.example", "localhost"), ("http://localhost", "evil.example")]
    {
        let request = format!(
            "GET {target}:{port}/v1/points HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        );
        gateway.raw(&request).await.expect_error(403);
    }
    // Not even the page, nor whether there is a server.
    for path in ["/", "/healthz", "/v1/topics/plant", "/nowhere"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        gateway.raw(&request).await.expect_error(403);
    }
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_read_nor_write() {
    let gateway = Gateway::start().await;
    let own = format!("Origin: http://{}\r\n", gateway.addr);
    let local = format!("Origin: http://localhost:{}\r\n", gateway.addr.port());
    for origin in [&own, &local] {
        let answer = gateway.request("GET /v1/points", origin, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = gateway.request(WRITE, &format!("{JSON}{origin}"), BODY).await;
        assert_eq!(answer.status, 200);
    }
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://evil.example"] {
        let origin = format!("Origin: {origin}\r\n");
        gateway.request("GET /v1/points", &origin, "").await.expect_error(403);
        gateway.request("GET /v1/topics/plant", &origin, "").await.expect_error(403);
        gateway.request(WRITE, &format!("{JSON}{origin}"), BODY).await.expect_error(403);
        let preflight = format!("{origin}Access-Control-Request-Method: POST\r\n");
        let target = "OPTIONS /v1/points/ahu.tempSetpoint/write";
        let answer = gateway.request(target, &preflight, "").await;
        answer.expect_error(403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let both = format!("{own}Origin: http://evil.example\r\n");
    gateway.request("GET /v1/points", &both, "").await.expect_error(403);
}

#[tokio::test]
async fn a_page_that_was_named_may_use_the_server() {
    let gateway = Gateway::with(|options| {
        options.allowed_origins = vec!["https://app.example".into()];
        options.token = Some(Token::new("s3cret"));
    })
    .await;
    gateway.publish("1");
    let origin = "Origin: https://app.example\r\n";
    let token = format!("{origin}Authorization: Bearer s3cret\r\nSec-Fetch-Site: cross-site\r\n");
    for target in ["/v1/points", "/v1/topics/plant/snapshot", "/nowhere"] {
        let answer = gateway.request(&format!("GET {target}"), &token, "").await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://app.example"), "{target}");
        assert_eq!(answer.header("vary"), Some("Origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    }
    for way in ["", "TE: trailers\r\n"] {
        let headers = format!("{token}{way}");
        let stream = gateway.subscribe("/v1/topics/plant", &headers).await;
        let allowed = stream.head.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://app.example"));
        assert!(stream.head.header("vary").unwrap().contains("Origin"));
        assert!(
            stream.head.header("access-control-expose-headers").unwrap().contains("X-Sd-Session")
        );
    }
    // Asking whether it may needs no token; doing it does.
    let asks = "Access-Control-Request-Method: GET\r\n\
                Access-Control-Request-Headers: authorization, last-event-id, x-sd-mode, x-evil\r\n";
    let answer = gateway.request("OPTIONS /v1/topics/plant", &format!("{origin}{asks}"), "").await;
    assert_eq!(answer.status, 204);
    let headers = answer.header("access-control-allow-headers");
    assert_eq!(headers, Some("authorization, last-event-id, x-sd-mode"));
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    let refused = gateway.request("GET /v1/points", origin, "").await;
    refused.expect_error(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
    // Others are refused as before.
    for other in ["https://app.example.evil.example", "http://app.example", "null"] {
        let headers = format!("Origin: {other}\r\n{asks}");
        let answer = gateway.request("OPTIONS /v1/topics/plant", &headers, "").await;
        answer.expect_error(403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn what_a_browser_loads_for_another_site_is_refused() {
    let gateway = Gateway::start().await;
    let get = async |path: &str, site: &str, mode: &str, dest: &str| {
        let headers = format!(
            "Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n"
        );
        gateway.request(&format!("GET {path}"), &headers, "").await
    };
    for site in ["cross-site", "same-site"] {
        get("/v1/points", site, "no-cors", "script").await.expect_error(403);
        get("/v1/topics/plant", site, "no-cors", "image").await.expect_error(403);
        get("/", site, "navigate", "iframe").await.expect_error(403);
        assert_eq!(get("/", site, "navigate", "document").await.status, 200, "a link");
    }
    assert_eq!(get("/v1/points", "same-origin", "cors", "empty").await.status, 200);
    assert_eq!(get("/", "none", "navigate", "document").await.status, 200);
    let page = gateway.get("/").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn a_write_must_say_that_it_is_json() {
    let gateway = Gateway::start().await;
    let length = format!("Content-Length: {}\r\n", BODY.len());
    for content_type in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=application/json\r\n",
        "Content-Type: text/plain; application/json\r\n",
    ] {
        let headers = format!("{content_type}{length}");
        gateway.request(WRITE, &headers, BODY).await.expect_error(415);
    }
    let headers = format!("Content-Type: Application/JSON; charset=utf-8\r\n{length}");
    assert_eq!(gateway.request(WRITE, &headers, BODY).await.status, 200);
}

#[tokio::test]
async fn with_a_token_nothing_but_the_page_and_the_health_is_open() {
    const TOKEN: &str = "k3y-of_the.gateway~";
    let gateway = Gateway::with(|options| options.token = Some(Token::new(TOKEN))).await;
    for path in ["/healthz", "/", "/console.js"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    let closed =
        ["/v1/topics", "/v1/topics/plant", "/v1/points", "/v1/connectors", "/metrics", "/x"];
    let wrong = [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic k3y-of_the.gateway~\r\n",
        "Cookie: access_token=k3y-of_the.gateway~\r\n",
    ];
    for path in closed {
        for headers in wrong {
            let answer = gateway.request(&format!("GET {path}"), headers, "").await;
            let detail = answer.expect_error(401);
            assert!(!detail.contains(TOKEN));
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        gateway.get(&format!("{path}?access_token=wrong")).await.expect_error(401);
    }
    gateway.request(WRITE, JSON, BODY).await.expect_error(401);

    let bearer = format!("Authorization: bearer {TOKEN}\r\n");
    assert_eq!(gateway.request("GET /v1/points", &bearer, "").await.status, 200);
    let headers = format!("{bearer}{JSON}");
    assert_eq!(gateway.request(WRITE, &headers, BODY).await.status, 200);
    gateway.publish("1");
    let target = format!("/v1/topics/plant?access_token={TOKEN}");
    let mut stream = gateway.subscribe(&target, "").await;
    assert_eq!(stream.event().await.data, "1");
}

async fn bind(addr: &str, token: Option<Token>) -> Result<Server, BindError> {
    let mut options = Options::new(addr.parse().unwrap(), Seed::new(0));
    options.token = token;
    Server::bind(Hub::new(Limits::default(), Seed::new(0)), Arc::new(Plant::default()), options)
        .await
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_token() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        assert!(matches!(bind(addr, None).await, Err(BindError::TokenNeeded(_))), "{addr}");
    }
    assert!(bind("127.0.0.1:0", None).await.is_ok());
    assert!(bind("0.0.0.0:0", Some(Token::new("t"))).await.is_ok());
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_by_name() {
    let first = bind("127.0.0.1:0", None).await.unwrap();
    let addr = first.local_addr();
    let error = bind(&addr.to_string(), None).await.unwrap_err();
    assert!(matches!(error, BindError::AddrInUse(_)));
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

#[tokio::test]
async fn on_all_addresses_a_request_must_name_the_one_it_came_to() {
    let gateway = Gateway::with(|options| {
        options.listen = ([0, 0, 0, 0], 0).into();
        options.token = Some(Token::new("t"));
    })
    .await;
    let port = gateway.addr.port();
    let get = async |host: &str| {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        crate::support::exchange(
            stream,
            &format!("GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"),
        )
        .await
    };
    assert_eq!(get("127.0.0.1").await.status, 200);
    get("192.168.1.1").await.expect_error(403);
    get("evil.example").await.expect_error(403);
}
