// The frame of every page. The App Router wants one.

export const metadata = { title: 'Backend' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
