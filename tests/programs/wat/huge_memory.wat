;; A command whose memory begins at 2 GiB.
(component
  (core module $m
    (memory 32768)
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $c (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $c)))
