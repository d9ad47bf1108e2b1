//! The simulated plant: an air handler, an electricity meter and a boiler. Each is a Modbus TCP
//! device of its own, served by the library's own server from registers that the physics keeps.

use std::f64::consts::TAU;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pointstream::modbus::data::Scalar;
use pointstream::modbus::{Limits, Server};
use pointstream::modbus::{Registers, Table};
use pointstream::time::Seed;

/// A simulated device: its name, the port it would like, and its Modbus unit.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    unit: u8,
}

pub(crate) const DEVICES: [Device; 3] = [
    Device { name: "ahu", port: 50_201, unit: 1 },
    Device { name: "meter", port: 50_202, unit: 2 },
    Device { name: "boiler", port: 50_203, unit: 3 },
];

/// How often the physics moves on.
const STEP: Duration = Duration::from_millis(200);

/// The plant with its registers, not yet running.
pub(crate) struct Plant {
    registers: Registers,
    physics: Physics,
}

impl Plant {
    /// A plant in the middle of a working day.
    pub(crate) fn new() -> Self {
        let registers = Registers::new();
        for device in &DEVICES {
            for (table, count) in
                [(Table::Coil, 8), (Table::Discrete, 8), (Table::Input, 40), (Table::Holding, 10)]
            {
                // The ranges are constant and lie within the tables.
                let _ = registers.define(device.unit, table, 0, count);
            }
        }
        let mut plant = Self { registers, physics: Physics::new() };
        for (unit, address, value) in SETTINGS {
            plant.put(unit, address, Scalar::Float(value));
        }
        for (unit, address, value) in SWITCHES {
            plant.put(unit, address, Scalar::Bool(value));
        }
        plant.publish();
        plant
    }

    /// Serves one device on loopback, on its own port or, if `any_port`, on any that is free.
    pub(crate) async fn serve(
        &self,
        device: &Device,
        any_port: bool,
    ) -> io::Result<(Server, Registers)> {
        let port = if any_port { 0 } else { device.port };
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], port)), Limits::default());
        Ok((server.await?, self.registers.clone()))
    }

    /// Lets time pass for the plant, for ever.
    pub(crate) async fn live(mut self) {
        let mut ticks = tokio::time::interval(STEP);
        loop {
            ticks.tick().await;
            self.obey();
            self.physics.step(STEP.as_secs_f64());
            self.publish();
        }
    }

    /// Takes over what people have written.
    fn obey(&mut self) {
        let p = &mut self.physics;
        let number = |unit, address, low: f64, high: f64| match get(&self.registers, unit, address)
        {
            Some(Scalar::Float(number)) => number.clamp(low, high),
            Some(Scalar::Int(number)) => (number as f64).clamp(low, high),
            _ => low,
        };
        let switch =
            |unit, address| matches!(get(&self.registers, unit, address), Some(Scalar::Bool(true)));
        p.temp_setpoint = number(1, "holding:40001:s2:/10", 15.0, 30.0);
        p.humidity_setpoint = number(1, "holding:40002:u2:/10", 30.0, 60.0);
        p.co2_setpoint = number(1, "holding:40003:u2", 500.0, 1500.0);
        p.fan_limit = number(1, "holding:40004:f4", 20.0, 100.0);
        p.economizer = switch(1, "holding:40006:bit:0");
        p.ahu_enabled = switch(1, "coil:00001");
        p.flow_setpoint = number(3, "holding:40001:u2:/10", 40.0, 85.0);
        p.hysteresis = number(3, "holding:40002:s1", 1.0, 15.0);
        p.boiler_enabled = switch(3, "coil:00001");
    }

    /// Puts what the instruments show into the registers, all at once.
    fn publish(&mut self) {
        let values = self.physics.instruments();
        self.registers.update(|units| {
            for (unit, address, value) in values {
                let Ok(address) = address.parse() else { continue };
                // An instrument at the end of its range goes on showing what it showed.
                let _ = units.set(unit, &address, value);
            }
        });
    }

    fn put(&self, unit: u8, address: &str, value: Scalar) {
        if let Ok(address) = address.parse() {
            let _ = self.registers.set(unit, &address, value);
        }
    }
}

fn get(registers: &Registers, unit: u8, address: &str) -> Option<Scalar> {
    registers.get(unit, &address.parse().ok()?).ok()
}

/// What the setpoints are at the start.
const SETTINGS: [(u8, &str, f64); 7] = [
    (1, "holding:40001:s2:/10", 20.0),
    (1, "holding:40002:u2:/10", 45.0),
    (1, "holding:40003:u2", 800.0),
    (1, "holding:40004:f4", 85.0),
    (2, "holding:40001:u2", 200.0),
    (3, "holding:40001:u2:/10", 65.0),
    (3, "holding:40002:s1", 6.0),
];

/// What the switches are at the start.
const SWITCHES: [(u8, &str, bool); 3] =
    [(1, "holding:40006:bit:0", true), (1, "coil:00001", true), (3, "coil:00001", true)];

/// The state of the plant. Temperatures in °C, powers in kW, times in seconds; a day takes twenty
/// minutes, so that something happens while one looks.
struct Physics {
    noise: Seed,
    time: f64,
    outdoor: f64,
    zone: f64,
    humidity: f64,
    co2: f64,
    supply: f64,
    fan: f64,
    heating: f64,
    cooling: f64,
    damper: f64,
    dust: f64,
    run_hours: f64,
    voltage: [f64; 3],
    current: [f64; 3],
    power: f64,
    power_factor: f64,
    frequency: f64,
    energy: f64,
    export: f64,
    demand_max: f64,
    flow: f64,
    back: f64,
    flue: f64,
    pressure: f64,
    firing: f64,
    gas_flow: f64,
    gas: f64,
    starts: i32,
    temp_setpoint: f64,
    humidity_setpoint: f64,
    co2_setpoint: f64,
    fan_limit: f64,
    economizer: bool,
    ahu_enabled: bool,
    flow_setpoint: f64,
    hysteresis: f64,
    boiler_enabled: bool,
}

const DAY: f64 = 1200.0;

impl Physics {
    fn new() -> Self {
        Self {
            noise: Seed::new(0x00dd_ba11),
            time: DAY * 0.4,
            outdoor: 7.0,
            zone: 22.0,
            humidity: 42.0,
            co2: 620.0,
            supply: 19.5,
            fan: 60.0,
            heating: 30.0,
            cooling: 0.0,
            damper: 35.0,
            dust: 92.0,
            run_hours: 18_342.4,
            voltage: [230.4, 229.8, 231.1],
            current: [42.0, 40.5, 43.7],
            power: 27.5,
            power_factor: 0.94,
            frequency: 50.0,
            energy: 1_482_033.27,
            export: 1_204.318,
            demand_max: 61_240.0,
            flow: 61.0,
            back: 47.0,
            flue: 118.0,
            pressure: 1.62,
            firing: 0.0,
            gas_flow: 0.0,
            gas: 88_412.07,
            starts: 24_117,
            temp_setpoint: 20.0,
            humidity_setpoint: 45.0,
            co2_setpoint: 800.0,
            fan_limit: 85.0,
            economizer: true,
            ahu_enabled: true,
            flow_setpoint: 65.0,
            hysteresis: 6.0,
            boiler_enabled: true,
        }
    }

    /// A number around zero, nearly normal, with the given spread.
    fn jitter(&mut self, spread: f64) -> f64 {
        let mut uniform = || (self.noise.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        (uniform() + uniform() + uniform() - 1.5) * spread
    }

    fn step(&mut self, dt: f64) {
        self.time += dt;
        let day = (self.time / DAY).fract();
        let sun = (TAU * (day - 0.25)).sin();
        self.outdoor += ((8.0 + 6.0 * sun) - self.outdoor) * dt / 60.0 + self.jitter(0.02);
        let people = (sun * 1.4).clamp(0.0, 1.0);
        self.air(dt, people);
        self.boil(dt);
        self.electricity(dt, people);
    }

    /// The air handler and the rooms that it serves.
    fn air(&mut self, dt: f64, people: f64) {
        let wish =
            if self.ahu_enabled { (35.0 + 0.06 * self.co2).min(self.fan_limit) } else { 0.0 };
        self.fan += (wish - self.fan).clamp(-8.0 * dt, 4.0 * dt);
        let on = f64::from(u8::from(self.fan > 5.0));
        let fresh = if self.co2 > self.co2_setpoint { 70.0 } else { 25.0 };
        let free = self.economizer && self.outdoor < self.temp_setpoint && self.cooling > 1.0;
        let damper = if free { 95.0 } else { fresh } * on;
        self.damper += (damper - self.damper).clamp(-6.0 * dt, 6.0 * dt);
        let error = self.temp_setpoint - self.supply;
        let demand = self.heating - self.cooling + error * 1.6 * dt * on;
        self.heating = demand.clamp(0.0, 100.0) * on;
        self.cooling = (-demand).clamp(0.0, 100.0) * on;
        let coil = self.mixed() + 0.0055 * self.heating * (self.flow - 20.0).max(0.0)
            - 0.16 * self.cooling;
        let goal = if on > 0.0 { coil + 0.6 } else { self.zone };
        self.supply += (goal - self.supply) * dt / 9.0 + self.jitter(0.03);
        let flow = self.fan / 100.0;
        let gains = 0.35 + 1.6 * people;
        let change = (self.supply - self.zone) * 0.02 * flow + (self.outdoor - self.zone) * 0.001;
        self.zone += (change + gains * 0.012) * dt + self.jitter(0.01);
        let dilution = 0.012 * flow * self.damper / 100.0;
        self.co2 += (people * 5.5 - (self.co2 - 420.0) * dilution) * dt + self.jitter(1.5);
        let damp = self.humidity_setpoint + people * 4.0 - (20.0 - self.outdoor) * 0.2;
        self.humidity += (damp - self.humidity) * dt / 90.0 + self.jitter(0.05);
        self.dust += 0.0004 * flow * dt;
        self.run_hours += on * dt / 3600.0;
    }

    fn mixed(&self) -> f64 {
        let share = self.damper / 100.0;
        share * self.outdoor + (1.0 - share) * self.zone
    }

    /// The boiler, with its burner switching around the setpoint.
    fn boil(&mut self, dt: f64) {
        let low = self.flow < self.flow_setpoint - self.hysteresis / 2.0;
        let high = self.flow > self.flow_setpoint + self.hysteresis / 2.0;
        let burning = self.firing > 0.0;
        if !self.boiler_enabled || high {
            self.firing = 0.0;
        } else if low && !burning {
            self.firing = 30.0;
            self.starts += 1;
        } else if burning {
            let wish = (self.flow_setpoint + self.hysteresis / 2.0 - self.flow) * 16.0;
            self.firing += (wish.clamp(20.0, 100.0) - self.firing) * dt / 5.0;
        }
        let load = 0.006 * self.heating * self.fan / 100.0 + 0.08;
        self.flow += (self.firing * 0.011 - load) * dt + self.jitter(0.02);
        self.flow = self.flow.clamp(15.0, 98.0);
        let back = self.flow - 4.0 - load * 14.0;
        self.back += (back - self.back) * dt / 12.0 + self.jitter(0.02);
        let flue = if self.firing > 0.0 { 90.0 + self.firing } else { 55.0 };
        self.flue += (flue - self.flue) * dt / 20.0 + self.jitter(0.2);
        self.pressure = 1.2 + self.flow * 0.007 + self.jitter(0.004);
        self.gas_flow = if self.firing > 0.0 { 0.31 * self.firing + self.jitter(0.1) } else { 0.0 };
        self.gas += self.gas_flow * dt / 3600.0;
    }

    /// The meter at the building's intake.
    fn electricity(&mut self, dt: f64, people: f64) {
        let fan = 7.5 * (self.fan / 100.0).powi(3);
        let chiller = 0.22 * self.cooling;
        let load = 12.0 + 18.0 * people + fan + chiller + self.jitter(0.8);
        self.power += (load - self.power) * dt / 3.0;
        self.power_factor = (0.92 + 0.0008 * self.power + self.jitter(0.003)).clamp(0.8, 1.0);
        self.frequency += (50.0 - self.frequency) * dt / 20.0 + self.jitter(0.004);
        let apparent = self.power / self.power_factor;
        for phase in 0..3 {
            self.voltage[phase] = 230.0 + [0.4, -0.3, 0.8][phase] + self.jitter(0.5);
            let share = [0.33, 0.32, 0.35][phase];
            self.current[phase] = apparent * share * 1000.0 / self.voltage[phase];
        }
        self.energy += self.power * dt / 3600.0;
        self.demand_max = self.demand_max.max(self.power * 1000.0);
    }

    /// Every instrument's unit, address and reading.
    fn instruments(&mut self) -> Vec<(u8, &'static str, Scalar)> {
        use Scalar::{Bool, Float, Int};
        let mode = match (self.fan > 5.0, self.heating > 1.0, self.cooling > 1.0) {
            (false, ..) => 0,
            (true, true, _) => 1,
            (true, false, false) => 2,
            (true, false, true) => 3,
        };
        let apparent = self.power / self.power_factor;
        let reactive = (apparent * apparent - self.power * self.power).max(0.0).sqrt();
        let running = self.fan > 5.0;
        let flow = 62.0 * self.fan + if running { self.jitter(20.0) } else { 0.0 };
        let draught = 0.042 * self.fan * self.fan + if running { self.jitter(2.0) } else { 0.0 };
        vec![
            (1, "input:30001:s2:/10", Float(self.outdoor)),
            (1, "input:30002:s2:/10", Float(self.zone + 0.3)),
            (1, "input:30003:s2:/10", Float(self.mixed())),
            (1, "input:30004:s2:/10", Float(self.supply)),
            (1, "input:30005:u2:/10", Float(self.humidity)),
            (1, "input:30006:f4", Float(draught)),
            (1, "input:30008:f4", Float(flow)),
            (1, "input:30010:u2", Float(self.co2)),
            (1, "input:30011:u2", Float(self.dust * (self.fan / 60.0).powi(2))),
            (1, "input:30012:f4lew", Float(self.fan)),
            (1, "input:30014:u2:/100", Float(0.8 + 0.11 * self.fan)),
            (1, "input:30015:bit:0", Bool(self.dust > 150.0)),
            (1, "input:30015:bit:1", Bool(self.supply < 5.0)),
            (1, "input:30016:u4:/10", Float(self.run_hours)),
            (1, "input:30018:u1", Int(mode)),
            (1, "input:30019:s1", Float((self.damper - 50.0) / 10.0)),
            (1, "input:30020:u2:/10", Float(self.damper)),
            (1, "input:30021:u2:/10", Float(self.heating)),
            (1, "input:30022:u2:/10", Float(self.cooling)),
            (1, "discrete:10001", Bool(running)),
            (2, "input:30001:f4", Float(self.voltage[0])),
            (2, "input:30003:f4", Float(self.voltage[1])),
            (2, "input:30005:f4", Float(self.voltage[2])),
            (2, "input:30007:f4", Float(self.current[0])),
            (2, "input:30009:f4", Float(self.current[1])),
            (2, "input:30011:f4", Float(self.current[2])),
            (2, "input:30013:f4", Float(self.power)),
            (2, "input:30015:f4", Float(reactive)),
            (2, "input:30017:f4", Float(apparent)),
            (2, "input:30019:f4", Float(self.power_factor)),
            (2, "input:30021:f4", Float(self.frequency)),
            (2, "input:30023:f8", Float(self.energy)),
            (2, "input:30027:s8:/1000", Float(self.export)),
            (2, "input:30031:u4le", Float(self.demand_max)),
            (2, "input:30033:u4lew", Int(20_260_117)),
            (3, "input:30001:s2:/10", Float(self.flow)),
            (3, "input:30002:s2:/10", Float(self.back)),
            (3, "input:30003:s2", Float(self.flue)),
            (3, "input:30004:u2:/100", Float(self.pressure)),
            (3, "input:30005:f4leb", Float(self.gas_flow.max(0.0))),
            (3, "input:30007:u2:/10", Float(self.firing)),
            (3, "input:30008:s4", Int(i64::from(self.starts))),
            (3, "input:30010:u4le:/100", Float(self.gas)),
            (3, "input:30012:bit:0", Bool(self.firing > 0.0)),
            (3, "input:30012:bit:4", Bool(true)),
            (3, "input:30013:s2le:/10", Float(self.outdoor)),
        ]
    }
}
