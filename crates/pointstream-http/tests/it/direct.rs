//! A plain subscription is served without the HTTP library; what the client sees is the same.

use std::io::Read;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Gateway, soon};

/// Makes a request one that is left to the library, without changing its answer.
const NOT_PLAIN: &str = "TE: trailers\r\n";

async fn open(gateway: &Gateway, headers: &str) -> TcpStream {
    let mut stream = gateway.connect().await;
    let request =
        format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", gateway.addr);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until `end` has come.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0, "{bytes:?}");
    }
    String::from_utf8(bytes).unwrap()
}

/// What differs from one stream to the next, or from one moment to the next.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive("\r\n") {
        match line.split_once(": ") {
            Some((name @ ("x-sd-session" | "date"), value)) => {
                out.push_str(&format!("{name}: {}\r\n", value.trim_end().len()));
            }
            _ => out.push_str(line),
        }
    }
    let fields = [(": ok\nretry: ", 4), ("\"datetime\":\"", 24), ("\"sessionId\":\"", 32)];
    for (field, len) in fields {
        if let Some(at) = out.find(field) {
            let at = at + field.len();
            out.replace_range(at..at + len, "");
        }
    }
    out
}

#[tokio::test]
async fn both_ways_send_the_same_bytes() {
    let gateway = Gateway::start().await;
    gateway
        .publish(r#"{"temp":21.5,"name":"Süd","pad":"0123456789012345678901234567890123456789"}"#);
    let mut plain = open(&gateway, "Accept: */*\r\n").await;
    let mut other = open(&gateway, &format!("Accept: */*\r\n{NOT_PLAIN}")).await;
    let mut both = (String::new(), String::new());
    for (published, end) in [
        (None, "}\n\n\r\n"),
        (
            Some(r#"{"temp":21.6,"name":"Süd","pad":"0123456789012345678901234567890123456789"}"#),
            "]\n\n\r\n",
        ),
        (Some("1"), "1\n\n\r\n"),
    ] {
        if let Some(text) = published {
            gateway.publish(text);
        }
        both.0 += &read_to(&mut plain, end).await;
        both.1 += &read_to(&mut other, end).await;
    }
    gateway.hub.remove("plant").unwrap();
    both.0 += &read_to(&mut plain, "\r\n0\r\n\r\n").await;
    both.1 += &read_to(&mut other, "\r\n0\r\n\r\n").await;
    assert_eq!(masked(&both.0), masked(&both.1));
    assert!(both.0.contains("\r\ndate: ") && both.0.contains("event: patch"), "{}", both.0);
}

/// Undoes the chunks of a body that has ended.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").unwrap();
        let len = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if len == 0 {
            return out;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + len]);
        body = &body[end + 2 + len + 2..];
    }
}

/// What can be unpacked so far.
fn unpack(coding: &str, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let _ = match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        _ => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out),
    };
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_packed_stream_is_readable_event_by_event_and_a_whole_file_at_its_end() {
    let gateway = Gateway::start().await;
    let document = |n: u32| format!(r#"{{"n":{n},"pad":"{}"}}"#, "pointstream ".repeat(100));
    gateway.publish(&document(1));
    let mut texts = Vec::new();
    for (coding, more) in
        [("gzip", ""), ("gzip", NOT_PLAIN), ("deflate", ""), ("deflate", NOT_PLAIN)]
    {
        let wish = format!("X-Sd-Compress: true\r\nAccept-Encoding: {coding}\r\n");
        let mut stream = open(&gateway, &format!("{wish}{more}")).await;
        let mut bytes = Vec::new();
        // Each event can be read as soon as it has come.
        for n in 2..5 {
            let mark =
                if n == 2 { "event: data".to_owned() } else { format!("\"value\":{}", n - 1) };
            loop {
                let body = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                let so_far = body.map(|at| {
                    let mut padded = bytes[at + 4..].to_vec();
                    padded.extend_from_slice(b"0\r\n\r\n");
                    unpack(coding, &unchunk(&padded))
                });
                if so_far.is_some_and(|text| text.contains(&mark) && text.ends_with("\n\n")) {
                    break;
                }
                assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0);
            }
            gateway.publish(&document(n));
        }
        gateway.hub.remove("plant").unwrap();
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0);
        }
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&bytes[..at]).unwrap();
        assert!(head.contains(&format!("content-encoding: {coding}\r\n")), "{head}");
        let packed = unchunk(&bytes[at..]);
        let text = unpack(coding, &packed);
        assert!(packed.len() < text.len() / 2, "{} of {}", packed.len(), text.len());
        assert!(text.starts_with(": ok\nretry: "), "{text}");
        assert!(text.contains("event: error"), "{text}");
        texts.push(text);
        gateway.hub.create("plant", pointstream_hub::TopicOptions::text()).unwrap();
        gateway.publish(&document(1));
    }
    let shapes: Vec<Vec<&str>> = texts
        .iter()
        .map(|text| text.lines().filter(|line| line.starts_with("event")).collect())
        .collect();
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
}

#[tokio::test]
async fn what_is_refused_is_refused_alike() {
    let gateway = Gateway::start().await;
    for headers in [
        "Accept: text/html\r\n",
        "Origin: http://evil.example\r\n",
        "Host: evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let mut answers = Vec::new();
        for more in ["", NOT_PLAIN] {
            let mut stream = open(&gateway, &format!("{headers}{more}")).await;
            stream.shutdown().await.unwrap();
            let mut bytes = Vec::new();
            soon(stream.read_to_end(&mut bytes)).await.unwrap();
            answers.push(masked(&String::from_utf8(bytes).unwrap()));
        }
        assert_eq!(answers[0], answers[1]);
        assert!(!answers[0].is_empty());
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_its_stream_has_ended() {
    let gateway = Gateway::start().await;
    let mut stream = open(&gateway, "").await;
    let next = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    // Sent while the stream is open, in two parts, and once more when it has ended.
    stream.write_all(&next.as_bytes()[..9]).await.unwrap();
    gateway.subscribers("plant", 1).await;
    gateway.publish("1");
    read_to(&mut stream, "1\n\n\r\n").await;
    stream.write_all(&next.as_bytes()[9..]).await.unwrap();
    gateway.hub.remove("plant").unwrap();
    stream.write_all(next.as_bytes()).await.unwrap();
    let mut text = String::new();
    while text.matches("HTTP/1.1 200 OK\r\n").count() < 2 {
        let mut bytes = [0; 4_096];
        let read = soon(stream.read(&mut bytes)).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert!(text.contains("event: error") && text.contains("\r\n0\r\n\r\nHTTP/1.1"), "{text}");
}

#[tokio::test]
async fn what_a_client_sends_while_it_is_served_is_bounded() {
    let gateway = Gateway::with(|options| options.limits.head_bytes_max = 2_048).await;
    let mut stream = open(&gateway, "").await;
    gateway.subscribers("plant", 1).await;
    // More than any buffer of the system holds: it is left unread, and the events come all the same.
    let (mut reader, mut writer) = stream.split();
    let flood = vec![b'x'; 64 << 20];
    let flooded = writer.write_all(&flood);
    let published = async {
        gateway.publish("1");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"1\n\n\r\n") {
            assert_ne!(soon(reader.read_buf(&mut bytes)).await.unwrap(), 0);
        }
    };
    tokio::select! {
        biased;
        result = flooded => panic!("64 MiB were taken: {result:?}"),
        () = published => {}
    }
    // With the client's end unread, it is the next write that finds it gone.
    drop(stream);
    for n in 2.. {
        if gateway.hub.topic("plant").unwrap().subscribers == 0 {
            break;
        }
        gateway.publish(&n.to_string());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_head() {
    let gateway = Gateway::start().await;
    gateway.publish("1");
    let mut stream = gateway.connect().await;
    let request = format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    read_to(&mut stream, "1\n\n\r\n").await;
}
