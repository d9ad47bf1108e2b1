//! Writes: which functions are used, and whose fault a refusal is.

use pointstream_point::{Kind, Value};
use tokio::join;

use crate::script::{Client, Network};

const POINTS: [(Kind, &str, &str); 6] = [
    (Kind::Bool, "", "coil:00003"),
    (Kind::Number, "", "holding:40001:s2:/10"),
    (Kind::Number, "", "holding:40002:f4lew"),
    (Kind::Bool, "", "holding:40010:bit:4"),
    (Kind::Number, "", "holding:40020:u4"),
    (Kind::Number, "holding:40001", ""),
];

fn client(network: &Network, force_write_multiple: bool) -> Client {
    Client::new(network, &POINTS, |config| {
        config.force_write_multiple = force_write_multiple;
        config.ping = "coil:00001".parse().ok();
    })
}

#[tokio::test(start_paused = true)]
async fn each_value_goes_by_its_function() {
    let network = Network::default();
    let mut client = client(&network, false);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.play("05 0002 FF00", "05 0002 FF00").await;
        peer.play("06 0000 FFF6", "06 0000 FFF6").await;
        peer.play("10 0001 0002 04 0000 3FC0", "10 0001 0002").await;
        // This device lacks function 22, which is found out once.
        peer.play("16 0009 FFEF 0010", "96 01").await;
        peer.play("03 0009 0001", "03 02 8001").await;
        peer.play("06 0009 8011", "06 0009 8011").await;
        peer.play("03 0009 0001", "03 02 8011").await;
        peer.play("06 0009 8001", "06 0009 8001").await;
        peer.play("05 0002 0000", "05 0002 0000").await;
    };
    let writes = async {
        client.open().await.unwrap();
        let values = [
            (0, Value::Bool(true)),
            (1, Value::number(-1.04)),
            (2, Value::number(1.5)),
            (3, Value::Bool(true)),
            (3, Value::Bool(false)),
            (0, Value::Bool(false)),
        ];
        client.write(&values).await
    };
    let (refusals, ()) = join!(writes, device);
    assert_eq!(refusals, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn one_value_can_be_forced_through_the_functions_for_several() {
    let network = Network::default();
    let mut client = client(&network, true);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.play("0F 0002 0001 01 01", "0F 0002 0001").await;
        peer.play("10 0000 0001 02 000A", "10 0000 0001").await;
    };
    let writes = async {
        client.open().await.unwrap();
        client.write(&[(0, Value::Bool(true)), (1, Value::number(1.0))]).await
    };
    let (refusals, ()) = join!(writes, device);
    assert_eq!(refusals, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_the_faults_of_their_points_and_null_is_not_sent() {
    let network = Network::default();
    let mut client = client(&network, false);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.play("05 0002 FF00", "85 04").await;
        peer.play("10 0013 0002 04 0000 0007", "10 0013 0001").await;
        peer.play("16 0009 FFEF 0010", "96 02").await;
        peer.play("10 0013 0002 04 0000 0008", "10 0013 0002").await;
    };
    let writes = async {
        client.open().await.unwrap();
        let values = [
            (1, Value::Null),
            (0, Value::Bool(true)),
            (1, Value::number(4000.0)),
            (1, Value::Bool(true)),
            (2, Value::str("warm")),
            (4, Value::number(7.0)),
            (3, Value::Bool(true)),
            (5, Value::number(1.0)),
            (4, Value::number(8.0)),
        ];
        client.write(&values).await
    };
    let (refusals, ()) = join!(writes, device);
    assert_eq!(
        refusals.unwrap(),
        [
            "0 fault: Exception code 4: Slave Device Failure [00003 count=1]",
            "1 fault: cannot write 4000: the value does not fit s2, which holds -32768 to 32767",
            "1 fault: cannot write 1: a s2 is not written with this kind of value",
            "2 fault: Str is not what is written to holding:40002:f4lew",
            "4 fault: bad answer: the answer does not repeat what was written [40020 count=2]",
            "3 fault: Exception code 2: Illegal Data Address [40010 count=1]",
            "5 fault: the point has no address to write to",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_bit_goes_by_mask_where_the_device_knows_it_and_otherwise_by_what_it_held() {
    let network = Network::default();
    let points = [(Kind::Bool, "", "holding:40010:bit:4")];
    for mask_write in [true, false] {
        let mut client = Client::new(&network, &points, |config| config.mask_write = mask_write);
        let mut peer = network.accept();
        let device = async {
            if mask_write {
                peer.play("16 0009 FFEF 0010", "16 0009 FFEF 0010").await;
                peer.play("16 0009 FFEF 0000", "16 0009 FFEF 0000").await;
                // The wrong echo is an error and no reason to write otherwise.
                peer.play("16 0009 FFEF 0010", "16 0009 FFEF 0000").await;
            } else {
                peer.play("03 0009 0001", "03 02 8001").await;
                peer.play("06 0009 8011", "06 0009 8011").await;
                peer.play("03 0009 0001", "03 02 8011").await;
                peer.play("06 0009 8001", "06 0009 8001").await;
                peer.play("03 0009 0001", "83 02").await;
            }
        };
        let writes = async {
            client.open().await.unwrap();
            client.write(&[true, false, true].map(|on| (0, Value::Bool(on)))).await
        };
        let (refusals, ()) = join!(writes, device);
        assert_eq!(refusals.unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_silent_to_function_22_is_asked_by_it_once() {
    let network = Network::default();
    let mut client = Client::new(&network, &[(Kind::Bool, "", "holding:40010:bit:4")], |_| {});
    let mut peer = network.accept();
    let device = async {
        peer.asked("16 0009 FFEF 0010").await;
        for _ in 0..2 {
            peer.play("03 0009 0001", "03 02 0000").await;
            peer.play("06 0009 0010", "06 0009 0010").await;
        }
    };
    let writes = async {
        client.open().await.unwrap();
        client.write(&[(0, Value::Bool(true)), (0, Value::Bool(true))]).await
    };
    let (refusals, ()) = join!(writes, device);
    assert_eq!(refusals, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn texts_and_decimals_are_written_as_registers() {
    let network = Network::default();
    let points = [
        (Kind::Str, "holding:40001:str:6", "holding:40001:str:6"),
        (Kind::Number, "holding:40004:bcd4", "holding:40004:bcd4"),
    ];
    let mut client = Client::new(&network, &points, |_| {});
    let mut peer = network.accept();
    let device = async {
        peer.play("03 0000 0003", "03 06 4142 4344 0000").await;
        peer.play("10 0000 0003 06 C3BC 6162 0000", "10 0000 0003").await;
        peer.play("10 0003 0002 04 0012 3456", "10 0003 0002").await;
        peer.play("03 0000 0005", "03 0A 5055 4D50 2020 00FA 0000").await;
    };
    let script = async {
        client.open().await.unwrap();
        let values = [
            (0, Value::str("üab")),
            (1, Value::number(123_456.0)),
            (0, Value::str("too long")),
            (0, Value::number(1.0)),
        ];
        let refusals = client.write(&values).await.unwrap();
        (refusals, client.read().await.unwrap())
    };
    let ((refusals, values), ()) = join!(script, device);
    assert_eq!(
        refusals,
        [
            "0 fault: the value does not fit str:6, which holds that many bytes of UTF-8",
            "0 fault: cannot write 1: a str:6 is not written with this kind of value",
        ]
    );
    assert_eq!(values[0], Ok(Value::str("PUMP")));
    let bcd = "fault: the registers hold no bcd4: a half byte is above 9";
    assert_eq!(values[1], Err(bcd.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn writes_that_nobody_answers_end_the_session() {
    let network = Network::default();
    let mut client = client(&network, false);
    let mut peer = network.accept();
    let device = async {
        peer.play("01 0000 0001", "01 01 00").await;
        peer.asked("05 0002 FF00").await;
        peer.asked("06 0000 000A").await;
        peer.closed().await;
    };
    let writes = async {
        client.open().await.unwrap();
        client.write(&[(0, Value::Bool(true)), (1, Value::number(1.0))]).await
    };
    let (result, ()) = join!(writes, device);
    let silent = "session down: no answer to 2 requests in a row, each waited for 1s";
    assert_eq!(result, Err(silent.to_owned()));
}
