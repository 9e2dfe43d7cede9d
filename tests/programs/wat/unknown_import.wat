;; A command that imports what nobody has.
(component
  (import "bakery:oven/heat@1.0.0" (instance (export "on" (func))))
  (core module $m (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $c (export "run" (func $run)))
  (export "wasi:cli/run@0.2.6" (instance $c)))
