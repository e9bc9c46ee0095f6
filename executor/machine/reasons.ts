/** Sentences for people, by the reason word that programs read. */
export const messageOfReason = {
  GuestShutdown: 'The guest turned itself off',
  GuestCrashed: 'The guest or its QEMU process crashed',
  CrashLoop: 'The guest crashed three times within ten minutes',
  PowerCut: 'The domain was powered off or removed from outside',
  IOError:
    'A disk of the machine could not be read or written, often because the host has no room left; the guest is stopped where it was ' +
    'and resumed every 30 seconds until it can go on',
} as const;
