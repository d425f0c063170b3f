package api

import (
	"net/http/httptest"
	"testing"
	"time"

	"skerry/appliance/api/clienttest"
	"skerry/build/testshort"
)

func TestClients(t *testing.T) {
	testshort.Skip(t, "it starts other programs")
	f := &fake{limit: 20, pace: 5 * time.Millisecond}
	server := httptest.NewServer(New(f, Options{}))
	defer server.Close()
	clienttest.Run(t, server.URL, fakeModel.Name)
}
