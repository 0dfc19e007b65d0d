;; caller: calls the host function `log` once. What happens then is up to the host.
(module
  (import "cofferdam" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "called")
  (func (export "cofferdam_abi_1"))
  (func (export "handle") (result i32)
    (call $log (i32.const 2) (i32.const 0) (i32.const 6))
    (i32.const 0)))
