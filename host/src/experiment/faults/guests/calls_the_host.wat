;; Calls the host function `log`. What happens then is up to the host.
(func $misbehave (result i32)
  (call $log (i32.const 2) (i32.const 0) (i32.const 1))
  (i32.const 0))
