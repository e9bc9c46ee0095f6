/** What is not the public internet, after IANA's registries of special addresses. */
export const notPublic4: readonly string[] = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
  // A public address that in Azure is the host's own server of metadata.
  '168.63.129.16/32',
];
/** Only these are public; the mapped, compatible and translated forms of IPv4 addresses lie outside. */
export const public6: readonly string[] = ['2000::/3'];
export const notPublic6: readonly string[] = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];
