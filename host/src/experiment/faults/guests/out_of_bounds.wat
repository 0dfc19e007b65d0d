;; Reads just below 4 GiB.
(func $misbehave (result i32)
  (i32.load (i32.const 0xfffffff0)))
