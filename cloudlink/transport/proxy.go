package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NoProxy as Options.Proxy ignores the environment.
const NoProxy = "none"

// proxyURL returns the proxy on the way to the cloud, nil for none.
func (o Options) proxyURL() (*url.URL, error) {
	switch o.Proxy {
	case NoProxy:
		return nil, nil
	case "":
		return http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: o.Addr}})
	}
	u, err := url.Parse(o.Proxy)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf(`proxy %q: write it as "http://host:port", or %q`, o.Proxy, NoProxy)
	}
	return u, nil
}

// dialThrough opens the TCP connection to the cloud, by CONNECT through a proxy
// where there is one (RFC 9110 section 9.3.6).
func (o Options) dialThrough(ctx context.Context) (net.Conn, error) {
	proxy, err := o.proxyURL()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	if proxy == nil {
		return d.DialContext(ctx, "tcp", o.Addr)
	}
	addr := proxy.Host
	if proxy.Port() == "" {
		addr = net.JoinHostPort(proxy.Hostname(), map[string]string{"http": "80", "https": "443"}[proxy.Scheme])
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
	}
	if proxy.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
	}
	tunnel, err := tunnelThrough(ctx, conn, proxy, o.Addr)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", proxy.Redacted(), err)
	}
	return tunnel, nil
}

func tunnelThrough(ctx context.Context, conn net.Conn, proxy *url.URL, addr string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		secret := base64.StdEncoding.EncodeToString([]byte(u.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+secret)
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return &readerConn{conn, r}, nil
}

// readerConn reads first what came with the proxy's answer.
type readerConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *readerConn) Read(b []byte) (int, error) { return c.r.Read(b) }
