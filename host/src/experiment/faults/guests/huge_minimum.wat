;; Wants 4 GiB from its very beginning: no instance is ever made.
(memory $huge 65535)
(func $misbehave (result i32)
  (i32.const 0))
