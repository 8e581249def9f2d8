// What lies in the store, looked at from outside.
import {
  CreateBucketCommand, GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client,
} from '@aws-sdk/client-s3';

/** @param {string} endpoint @param {string} [Bucket] */
export function viewStore(endpoint, Bucket = 'bucket') {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: process.env.S3_TEST_ACCESS_KEY ?? 'key',
      secretAccessKey: process.env.S3_TEST_SECRET_KEY ?? 'secret',
    },
  });
  return {
    createBucket: () => client.send(new CreateBucketCommand({ Bucket })).catch(() => undefined),
    /** @param {string} Prefix */
    async keys(Prefix) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix }));
      return Contents.map(({ Key }) => /** @type {string} */ (Key));
    },
    /** @param {string} session */
    async uploads(session) {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      return Uploads.filter(({ Key }) => Key?.includes(session)).length;
    },
    /** @param {string} Key */
    async content(Key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    close: () => client.destroy(),
  };
}
