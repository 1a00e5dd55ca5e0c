// Package link is what lies between the boxes of an island under test: a
// network of namespaces (or of loopback addresses, where none can be made),
// and between each two nodes a line that delays, breaks, corrupts and cuts.
//
// The kernels that tests run on have no netem, so delay and corruption are a
// TCP proxy's; a partition is dropped packets (nft) where there are
// namespaces, and the proxy's silence where there are none.
package link
