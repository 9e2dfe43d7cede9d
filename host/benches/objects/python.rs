//! The same with Python's multiprocessing. Each script prints nanoseconds for one operation.

use std::process::Command;

use crate::programs;

/// Before each script: processes are forked, the fastest that Python has.
const PRELUDE: &str = "\
import multiprocessing, time
m = multiprocessing.get_context('fork')
now = time.perf_counter
";

const QUEUES: &str = "\
def put_all(q, n, size):
    message = bytes(size)
    for _ in range(n): q.put(message)
def get_all(q, n):
    for _ in range(n): q.get()
def measure(n, size, producers, consumers):
    q = m.Queue()
    getters = [m.Process(target=get_all, args=(q, n // consumers)) for _ in range(consumers)]
    putters = [m.Process(target=put_all, args=(q, n // producers, size)) for _ in range(producers)]
    for p in getters: p.start()
    began = now()
    for p in putters: p.start()
    for p in putters + getters: p.join()
    print((now() - began) / n * 1e9)
";

pub(crate) const QUEUE_1_1: &str = "measure(100000, 64, 1, 1)";
pub(crate) const QUEUE_4_4: &str = "measure(100000, 64, 4, 4)";
pub(crate) const QUEUE_LARGE: &str = "measure(400, 1 << 20, 1, 1)";

pub(crate) const LOCK: &str = "\
l = m.Lock()
n = 1000000
acquire, release = l.acquire, l.release
began = now()
for _ in range(n): acquire(); release()
print((now() - began) / n * 1e9)
";

pub(crate) const LOCK_TWO: &str = "\
n = 200000
def contend(l, e):
    acquire, release = l.acquire, l.release
    e.wait()
    for _ in range(n): acquire(); release()
l, e = m.Lock(), m.Event()
ps = [m.Process(target=contend, args=(l, e)) for _ in range(2)]
for p in ps: p.start()
time.sleep(0.2)
began = now()
e.set()
for p in ps: p.join()
print((now() - began) / n / 2 * 1e9)
";

pub(crate) const SEMAPHORE: &str = "\
l = m.Semaphore(1)
n = 1000000
acquire, release = l.acquire, l.release
began = now()
for _ in range(n): acquire(); release()
print((now() - began) / n * 1e9)
";

pub(crate) const EVENT: &str = "\
n = 5000
def answer(ping, pong):
    for _ in range(n): ping.wait(); ping.clear(); pong.set()
ping, pong = m.Event(), m.Event()
p = m.Process(target=answer, args=(ping, pong))
p.start()
began = now()
for _ in range(n): ping.set(); pong.wait(); pong.clear()
p.join()
print((now() - began) / n * 1e9)
";

pub(crate) const PIPE: &str = "\
n = 20000
def echo(c):
    for _ in range(n): c.send_bytes(c.recv_bytes())
mine, its = m.Pipe()
p = m.Process(target=echo, args=(its,))
p.start()
message = bytes(64)
began = now()
for _ in range(n): mine.send_bytes(message); mine.recv_bytes()
p.join()
print((now() - began) / n * 1e9)
";

pub(crate) const VALUE: &str = "\
v = m.Value('q')
n = 200000
began = now()
for _ in range(n):
    with v.get_lock(): v.value += 1
print((now() - began) / n * 1e9)
";

pub(crate) fn measure(script: &str) -> f64 {
    programs::printed(Command::new(programs::python()).arg("-c").arg(format!("{PRELUDE}{QUEUES}{script}")))
}
