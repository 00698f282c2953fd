// Package seal holds the secret that only a test that came to its end may print. Its path sorts before all others and
// it needs no more than the testing package does, so Go initialises it before the answer's package.
package seal

import "syscall"

var secret = read()

func read() []byte {
	buffer := make([]byte, 256)
	have := 0
	for {
		count, err := syscall.Read(0, buffer[have:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || count <= 0 {
			return buffer[:have]
		}
		have += count
	}
}

// Pass says that the test came to its end, which alone knows the ending.
func Pass(ending string) {
	syscall.Write(1, append(secret[:len(secret):len(secret)], ending...))
}
