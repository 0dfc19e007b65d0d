;; Calls itself without end, so that no call is the last thing that a function does.
(func $misbehave (result i32)
  (i32.add (call $misbehave) (i32.load (i32.const 1000))))
