//! What a device and a network can do wrong, one at a time.

use std::time::Duration;

use pointstream_conn::Driver;
use pointstream_modbus::Config;
use pointstream_point::{Kind, Value};
use tokio::io::AsyncWriteExt;
use tokio::join;
use tokio::time::{Instant, sleep};

use crate::script::{Client, Network, frame, numbers};

const LIFE: &str = "03 0000 0001";

/// One point in one block.
fn one(network: &Network) -> Client {
    Client::new(network, &[(Kind::Number, "holding:40001", "")], |_| {})
}

/// Three points in three blocks.
fn three(network: &Network) -> Client {
    Client::new(
        network,
        &[
            (Kind::Number, "holding:40001", ""),
            (Kind::Number, "holding:40101:s2:/10", ""),
            (Kind::Bool, "coil:00001", ""),
        ],
        |_| {},
    )
}

#[tokio::test(start_paused = true)]
async fn an_absent_device_is_down_and_is_found_when_it_comes() {
    let network = Network::default();
    let mut client = one(&network);
    for _ in 0..50 {
        assert_eq!(client.open().await, Err("session down: connection refused".to_owned()));
        client.driver.close().await;
    }
    let mut peer = network.accept();
    let device = async {
        peer.play(LIFE, "03 02 0001").await;
        peer.play(LIFE, "03 02 0002").await;
    };
    let (opened, ()) = join!(
        async {
            client.open().await.unwrap();
            client.read().await
        },
        device
    );
    assert_eq!(opened, Ok(numbers([2.0])));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_swallows_packets_is_down_after_the_connect_time_out() {
    let network = Network::default();
    network.hang();
    let mut client = one(&network);
    let start = Instant::now();
    assert_eq!(
        client.open().await,
        Err("session down: connecting to plc:502: timed out after 5s".to_owned())
    );
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_accepts_and_never_answers_does_not_open() {
    let network = Network::default();
    let mut client = one(&network);
    let mut peer = network.accept();
    let start = Instant::now();
    assert_eq!(client.open().await, Err("session down: no answer within 1s".to_owned()));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    peer.asked(LIFE).await;
    peer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn one_time_out_is_its_blocks_alone_and_its_late_answer_is_discarded() {
    let network = Network::default();
    let mut client = three(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.play("01 0000 0001", "01 01 01").await;
        let late = peer.asked(LIFE).await;
        // Sent when the request has been given up and the next one waits.
        let next = peer.asked("03 0064 0001").await;
        peer.answer(late, "03 02 0BAD").await;
        peer.answer(next, "03 02 FFFF").await;
    };
    let (values, ()) = join!(
        async {
            client.open().await.unwrap();
            client.read().await
        },
        device
    );
    assert_eq!(
        values,
        Ok(vec![
            Err("down: no answer within 1s [40001 count=1]".to_owned()),
            Ok(Value::number(-0.1)),
            Ok(Value::Bool(true)),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn the_second_time_out_in_a_row_ends_the_session() {
    let network = Network::default();
    let mut client = three(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.play("01 0000 0001", "01 01 01").await;
        peer.asked(LIFE).await;
        peer.asked("03 0064 0001").await;
        peer.closed().await;
    };
    let start = Instant::now();
    let (values, ()) = join!(
        async {
            client.open().await.unwrap();
            client.read().await
        },
        device
    );
    let silent = "session down: no answer to 2 requests in a row, each waited for 1s";
    assert_eq!(values, Err(silent.to_owned()));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_a_foreign_transaction_is_no_answer() {
    let network = Network::default();
    let mut client = one(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play(LIFE, "03 02 0001").await;
        let transaction = peer.asked(LIFE).await;
        peer.answer(transaction.wrapping_add(7), "03 02 0BAD").await;
        peer.answer(transaction.wrapping_sub(1), "03 02 0BAD").await;
        peer.play(LIFE, "03 02 0003").await;
    };
    let read = async {
        client.open().await.unwrap();
        (client.read().await, client.read().await)
    };
    let ((first, second), ()) = join!(read, device);
    let timed_out = "down: no answer within 1s [40001 count=1]".to_owned();
    assert_eq!(first, Ok(vec![Err(timed_out)]));
    assert_eq!(second, Ok(numbers([3.0])));
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_are_the_faults_of_their_blocks() {
    let network = Network::default();
    let mut client = three(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        // Another unit; too many registers; an exception.
        let transaction = peer.asked("01 0000 0001").await;
        peer.0.write_all(&frame(transaction, 9, "01 01 01")).await.unwrap();
        peer.play(LIFE, "03 04 0001 0002").await;
        peer.play("03 0064 0001", "83 0B").await;
        // The session stands.
        peer.play("01 0000 0001", "01 01 01").await;
        peer.play(LIFE, "83 04").await;
        peer.play("03 0064 0001", "03 02 000A").await;
    };
    let read = async {
        client.open().await.unwrap();
        (client.read().await, client.read().await)
    };
    let ((first, second), ()) = join!(read, device);
    let count = "fault: bad answer: the count is 0, too large, or not that of the data \
                 [40001 count=1]";
    let target = "down: Exception code 11: Gateway Target Device Failed to Respond \
                  [40101 count=1]";
    assert_eq!(
        first,
        Ok(vec![
            Err(count.to_owned()),
            Err(target.to_owned()),
            Err("fault: unit 1 was asked and unit 9 answered [00001 count=1]".to_owned()),
        ])
    );
    let failed = "fault: Exception code 4: Slave Device Failure [40001 count=1]".to_owned();
    assert_eq!(second, Ok(vec![Err(failed), Ok(Value::number(1.0)), Ok(Value::Bool(true))]));
}

#[tokio::test(start_paused = true)]
async fn garbage_ends_the_session_as_a_fault() {
    let network = Network::default();
    let mut client = one(&network);
    let mut peer = network.accept();
    let device = async {
        peer.asked(LIFE).await;
        peer.0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        peer.closed().await;
    };
    let (opened, ()) = join!(client.open(), device);
    let text = "session fault: not Modbus TCP: the protocol identifier is 0, not 21584";
    assert_eq!(opened, Err(text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let network = Network::default();
    let mut client = one(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play(LIFE, "03 02 0001").await;
        let transaction = peer.asked(LIFE).await;
        for byte in frame(transaction, 1, "03 02 002A") {
            sleep(Duration::from_millis(50)).await;
            peer.0.write_all(&[byte]).await.unwrap();
        }
    };
    let (values, ()) = join!(
        async {
            client.open().await.unwrap();
            client.read().await
        },
        device
    );
    assert_eq!(values, Ok(numbers([42.0])));
}

#[tokio::test(start_paused = true)]
async fn an_idle_close_is_mended_unnoticed() {
    let network = Network::default();
    let mut client = one(&network);
    let (mut first, mut second) = (network.accept(), network.accept());
    let device = async {
        first.play(LIFE, "03 02 0001").await;
        drop(first);
        second.play(LIFE, "03 02 0002").await;
        second.play(LIFE, "03 02 0003").await;
    };
    let read = async {
        client.open().await.unwrap();
        sleep(Duration::from_secs(60)).await;
        (client.read().await, client.read().await)
    };
    let (values, ()) = join!(read, device);
    assert_eq!(values, (Ok(numbers([2.0])), Ok(numbers([3.0]))));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_again_at_once_is_down() {
    let network = Network::default();
    let mut client = one(&network);
    let (mut first, second, third) = (network.accept(), network.accept(), network.accept());
    let device = async {
        first.play(LIFE, "03 02 0001").await;
        drop((first, second));
    };
    let read = async {
        client.open().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        client.read().await
    };
    let (values, ()) = join!(read, device);
    let error = values.unwrap_err();
    assert!(error.starts_with("session down: "), "{error}");
    assert_eq!(network.left(), 1, "dialled once more than once");
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_before_its_first_answer_is_down_without_another_dial() {
    let network = Network::default();
    let mut client = one(&network);
    drop(network.accept());
    let _spare = network.accept();
    let error = client.open().await.unwrap_err();
    assert!(error.starts_with("session down: "), "{error}");
    assert_eq!(network.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_sent_ends_the_session() {
    let network = Network::default();
    let mut client = one(&network);
    let _peer = network.accept_with(5);
    let start = Instant::now();
    let error = client.open().await.unwrap_err();
    assert!(error.starts_with("session down: "), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_operation_on_a_closed_driver_is_refused_and_does_not_dial() {
    let network = Network::default();
    let mut client = one(&network);
    let _peer = network.accept();
    let error = client.read().await.unwrap_err();
    assert!(error.starts_with("session down: "), "{error}");
    assert_eq!(network.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn any_answer_to_a_ping_is_a_sign_of_life_unless_a_gateway_gives_it() {
    let network = Network::default();
    let configure = |config: &mut Config| config.ping = "input:30008:f4".parse().ok();
    let mut client = Client::new(&network, &[(Kind::Number, "holding:40001", "")], configure);
    let mut peer = network.accept();
    let device = async {
        peer.play("04 0007 0002", "84 02").await;
        peer.play("04 0007 0002", "04 04 0000 0000").await;
        // A time-out is tried once more.
        peer.asked("04 0007 0002").await;
        peer.play("04 0007 0002", "84 06").await;
        peer.play("04 0007 0002", "84 0A").await;
        peer.closed().await;
    };
    let pings = async {
        client.open().await.unwrap();
        client.ping().await.unwrap();
        client.ping().await.unwrap();
        client.ping().await
    };
    let (last, ()) = join!(pings, device);
    let text = "session down: Exception code 10: Gateway Path Unavailable";
    assert_eq!(last, Err(text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_nobody_answers_ends_the_session() {
    let network = Network::default();
    let mut client = one(&network);
    let mut peer = network.accept();
    let device = async {
        peer.play(LIFE, "03 02 0001").await;
        peer.asked(LIFE).await;
        peer.asked(LIFE).await;
        peer.closed().await;
    };
    let pings = async {
        client.open().await.unwrap();
        client.ping().await
    };
    let (last, ()) = join!(pings, device);
    let silent = "session down: no answer to 2 requests in a row, each waited for 1s";
    assert_eq!(last, Err(silent.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn without_points_a_connection_is_enough() {
    let network = Network::default();
    let mut client = Client::new(&network, &[], |_| {});
    let mut peer = network.accept();
    client.open().await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(client.read().await, Ok(vec![]));
    client.driver.close().await;
    peer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_request_delay_is_kept_between_an_answer_and_the_next_request() {
    let network = Network::default();
    let delay = Duration::from_millis(30);
    let points = [(Kind::Number, "holding:40001", ""), (Kind::Number, "holding:40101", "")];
    let mut client = Client::new(&network, &points, |config| config.request_delay = delay);
    let mut peer = network.accept();
    let device = async {
        peer.play(LIFE, "03 02 0001").await;
        let answered = Instant::now();
        let transaction = peer.asked(LIFE).await;
        assert!(answered.elapsed() >= delay);
        sleep(Duration::from_millis(500)).await;
        let answered = Instant::now();
        peer.answer(transaction, "03 02 0001").await;
        peer.play("03 0064 0001", "03 02 0001").await;
        assert!(answered.elapsed() >= delay);
    };
    let (values, ()) = join!(
        async {
            client.open().await.unwrap();
            client.read().await
        },
        device
    );
    assert_eq!(values, Ok(numbers([1.0, 1.0])));
}

#[tokio::test(start_paused = true)]
async fn after_each_of_a_hundred_outages_a_changed_value_arrives() {
    let network = Network::default();
    let mut client = one(&network);
    for round in 0u16..100 {
        // The device is away, swallows packets, accepts and is silent, talks nonsense, or hangs up.
        let mut away = match round % 5 {
            0 => None,
            1 => {
                network.hang();
                None
            }
            _ => Some(network.accept()),
        };
        let outage = async {
            let Some(peer) = &mut away else { return };
            match round % 5 {
                2 => {
                    peer.asked(LIFE).await;
                    peer.closed().await;
                }
                3 => {
                    peer.asked(LIFE).await;
                    peer.0.write_all(b"\0\0\0\0\xff\xff").await.unwrap();
                    peer.closed().await;
                }
                _ => drop(peer.0.shutdown().await),
            }
        };
        let (opened, ()) = join!(client.open(), outage);
        assert!(opened.unwrap_err().starts_with("session "), "round {round}");
        client.driver.close().await;
        drop(away);

        let mut peer = network.accept();
        let device = async {
            peer.play(LIFE, "03 02 0000").await;
            peer.play(LIFE, &format!("03 02 {round:04x}")).await;
        };
        let (values, ()) = join!(
            async {
                client.open().await.unwrap();
                client.read().await
            },
            device
        );
        assert_eq!(values, Ok(numbers([f64::from(round)])));
        client.driver.close().await;
    }
}
