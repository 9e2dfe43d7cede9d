;; A component that exports a function, and no command.
(component
  (core module $m (func (export "bake") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "bake") (result u32) (canon lift (core func $i "bake"))))
