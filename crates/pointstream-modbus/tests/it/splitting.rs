//! Merged blocks: what is read for whom, and what happens when the device refuses them.

use pointstream_modbus::Config;
use pointstream_point::{Kind, Value};
use proptest::prelude::*;

use crate::plant::Plant;
use crate::script::{Client, Network};

fn registers(network: &Network, addresses: &[u16], gap: u16) -> Client {
    let texts: Vec<String> = addresses.iter().map(|start| format!("holding:#{start}")).collect();
    let points: Vec<_> = texts.iter().map(|text| (Kind::Number, text.as_str(), "")).collect();
    Client::new(network, &points, |config: &mut Config| config.block_gap = gap)
}

fn expected(addresses: &[u16], holes: &[u16]) -> Vec<Result<Value, String>> {
    let of = |&start: &u16| {
        if !holes.contains(&start) {
            return Ok(Value::number(f64::from(Plant::register(start))));
        }
        let number = 40_001 + u32::from(start);
        Err(format!("fault: Exception code 2: Illegal Data Address [{number} count=1]"))
    };
    addresses.iter().map(of).collect()
}

/// Reads `times` over and gives the last values and the plant with the log of the last read.
async fn read(
    mut client: Client,
    network: &Network,
    mut plant: Plant,
    times: usize,
) -> (Vec<Result<Value, String>>, Plant) {
    let mut peer = network.accept();
    let mut values = Vec::new();
    for time in 0..times {
        plant.log.clear();
        let script = async {
            if time == 0 {
                client.open().await.unwrap();
            }
            client.read().await
        };
        tokio::select! {
            read = script => values = read.unwrap(),
            () = plant.serve(&mut peer) => panic!("the driver closed"),
        }
    }
    (values, plant)
}

#[tokio::test(start_paused = true)]
async fn a_block_over_gaps_is_one_request_and_values_land_where_they_belong() {
    let network = Network::default();
    let client = registers(&network, &[10, 12, 17], 5);
    let (values, mut plant) = read(client, &network, Plant::default(), 2).await;
    assert_eq!(values, expected(&[10, 12, 17], &[]));
    assert_eq!(plant.take_log(), [(10, 8)]);
}

/// Haxall issue 12: bits behind a gap were assigned to the wrong coils.
#[tokio::test(start_paused = true)]
async fn coils_read_over_a_gap_are_not_misassigned() {
    let network = Network::default();
    let addresses = [0u16, 1, 7, 9, 23];
    let texts: Vec<String> = addresses.iter().map(|start| format!("coil:#{start}")).collect();
    let points: Vec<_> = texts.iter().map(|text| (Kind::Bool, text.as_str(), "")).collect();
    let client = Client::new(&network, &points, |config| config.block_gap = 50);
    let (values, mut plant) = read(client, &network, Plant::default(), 2).await;
    let expected: Vec<_> =
        addresses.iter().map(|&start| Ok(Value::Bool(Plant::bit(start)))).collect();
    assert_eq!(values, expected);
    assert_eq!(plant.take_log(), [(0, 24)]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_a_gap_costs_one_refusal_and_is_remembered() {
    let network = Network::default();
    let client = registers(&network, &[0, 1, 5, 6], 10);
    let plant = Plant { holes: [3].into(), ..Plant::default() };
    let (values, mut plant) = read(client, &network, plant, 1).await;
    assert_eq!(values, expected(&[0, 1, 5, 6], &[]));
    assert_eq!(plant.take_log(), [(0, 1), (0, 7), (0, 2), (5, 2)]);

    let client = registers(&network, &[0, 1, 5, 6], 10);
    let (values, mut plant) = read(client, &network, plant, 2).await;
    assert_eq!(values, expected(&[0, 1, 5, 6], &[]));
    assert_eq!(plant.take_log(), [(0, 2), (5, 2)]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_register_does_not_take_its_neighbours() {
    let network = Network::default();
    let addresses: Vec<u16> = (0..100).collect();
    let client = registers(&network, &addresses, 0);
    let plant = Plant { holes: [37].into(), ..Plant::default() };
    let (values, plant) = read(client, &network, plant, 1).await;
    assert_eq!(values, expected(&addresses, &[37]));
    assert!(plant.log.len() <= 2 * 7 + 2, "{:?}", plant.log);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_allows_shorter_requests_only_is_read_in_parts() {
    let network = Network::default();
    let addresses: Vec<u16> = (0..100).collect();
    let client = registers(&network, &addresses, 0);
    let plant = Plant { count_max: Some(32), ..Plant::default() };
    let (values, mut plant) = read(client, &network, plant, 2).await;
    assert_eq!(values, expected(&addresses, &[]));
    assert_eq!(plant.take_log(), [(0, 25), (25, 25), (50, 25), (75, 25)]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_refuses_everything_is_asked_little_more_than_once_a_poll() {
    let network = Network::default();
    let addresses: Vec<u16> = (0..100).collect();
    let client = registers(&network, &addresses, 0);
    let plant = Plant { holes: (0..100).collect(), ..Plant::default() };
    let (values, mut plant) = read(client, &network, plant, 20).await;
    assert_eq!(values, expected(&addresses, &addresses));
    assert_eq!(plant.take_log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_read_divides_only_so_much_and_the_next_goes_on() {
    let network = Network::default();
    let addresses: Vec<u16> = (0..100).collect();
    let client = registers(&network, &addresses, 0);
    let plant = Plant { holes: (0..100).collect(), ..Plant::default() };
    let (values, mut plant) = read(client, &network, plant, 1).await;
    assert!(values.iter().all(Result::is_err));
    // The sign of life, 16 requests that are divided, and the 17 parts that this leaves.
    assert_eq!(plant.take_log().len(), 1 + 16 + 17);
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_filled_is_found_again() {
    let network = Network::default();
    let addresses: Vec<u16> = (0..8).collect();
    let mut client = registers(&network, &addresses, 0);
    let mut peer = network.accept();
    let mut plant = Plant { holes: [2, 5].into(), ..Plant::default() };
    let mut seen = Vec::new();
    for time in 0..5 {
        if time == 2 {
            plant.holes.clear();
        }
        let script = async {
            if time == 0 {
                client.open().await.unwrap();
            }
            client.read().await.unwrap()
        };
        tokio::select! {
            values = script => seen.push(values.iter().filter(|value| value.is_err()).count()),
            () = plant.serve(&mut peer) => panic!("the driver closed"),
        }
    }
    assert_eq!(seen, [2, 2, 1, 0, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_refused_every_other_value_is_right(
        addresses in prop::collection::btree_set(0u16..60, 1..20),
        holes in prop::collection::btree_set(0u16..60, 0..6),
        gap in 0u16..12,
        count_max in prop::option::of(1u16..20),
    ) {
        let addresses: Vec<u16> = addresses.into_iter().collect();
        let holes: Vec<u16> = holes.into_iter().collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let network = Network::default();
        let plant = Plant { holes: holes.iter().copied().collect(), count_max, log: Vec::new() };
        let client = registers(&network, &addresses, gap);
        let (values, _) = runtime.block_on(read(client, &network, plant, 8));
        prop_assert_eq!(values, expected(&addresses, &holes));
    }
}
