//! What can be asked of connectors.

use crate::support::Gateway;

#[tokio::test]
async fn a_tree_is_looked_at_level_by_level() {
    let gateway = Gateway::start().await;
    let root = gateway.get("/v1/connectors/ahu/learn").await;
    assert_eq!(root.status, 200);
    assert_eq!(root.text(), r#"{"rows":[{"dis":"Fan","learn":"fan & co"}]}"#);
    let below = gateway.get("/v1/connectors/ahu/learn?at=fan+%26+co").await;
    assert_eq!(below.text(), r#"{"rows":[{"dis":"Speed","cur":"fan/speed","kind":"Number"}]}"#);
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_learned_says_why() {
    let gateway = Gateway::start().await;
    let long = format!("/v1/connectors/ahu/learn?at={}", "x".repeat(4_097));
    let cases = [
        ("/v1/connectors/none/learn", 404, "GET /v1/connectors lists them"),
        ("/v1/connectors/flat/learn", 501, "learning is not supported"),
        ("/v1/connectors/ahu/learn?at=down", 503, "no route"),
        ("/v1/connectors/ahu/learn?at=slow", 504, "did not answer in time"),
        ("/v1/connectors/ahu/learn?at=nowhere", 502, "no such place"),
        (&long, 400, "more than the 4096 allowed"),
    ];
    for (target, status, detail) in cases {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(detail), "{target}: {}", answer.text());
    }
    gateway.stop().await;
}
