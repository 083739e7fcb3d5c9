package quality

import "crypto/sha256"

// Seal gives the body of a file the checksum that it should have.
func Seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(append([]byte(nil), body...), sum[:]...)
}
