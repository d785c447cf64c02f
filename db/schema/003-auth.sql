-- The setting `auth` had one value, which meant nothing. Its default is "either" now.
DELETE FROM settings WHERE key = 'auth' AND value = 'kerberos';
